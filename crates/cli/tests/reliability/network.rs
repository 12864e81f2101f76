//! What changes in the network while there is load.

use std::net::{Ipv4Addr, SocketAddr};

use crate::gateway::{Gateway, Middle, Protocol, Watch, account, exporter, number, settled};
use crate::sink::{Mode, Sink};
use crate::traffic::Traffic;
use crate::wait::eventually;

const QUICK: &str = ", timeout: 1s, retry_on_failure: {initial_interval: 50ms, max_interval: 200ms, max_elapsed_time: 0}, \
                     sending_queue: {queue_size: 100000}";

/// Two back ends on the same port of two addresses, as a name server would give one after the other.
fn pair() -> (Sink, Sink) {
    for _ in 0..100 {
        let first = Sink::closed();
        let second = SocketAddr::from((Ipv4Addr::new(127, 0, 0, 2), first.address().port()));
        if let Some(second) = Sink::closed_at(second) {
            return (first, second);
        }
    }
    panic!("no port is free on both addresses");
}

/// The name leads to another address from now on, and the back end at the old one goes away.
#[test]
fn a_name_that_leads_elsewhere_is_followed_and_nothing_is_lost() {
    for protocol in Protocol::BOTH {
        let (mut old, mut new) = pair();
        old.open();
        new.open();
        let port = old.address().port();
        let (id, definition) = exporter("sink", protocol, old.address(), QUICK);
        let definition = definition.replace(&old.address().to_string(), &format!("backend.test:{port}"));
        let gateway = Gateway::new(Middle::default(), &[(id.clone(), definition)]);
        let hosts = gateway.site.path("hosts");
        std::fs::write(&hosts, "127.0.0.1 backend.test\n").expect("it can be written");
        let process = gateway.start_with(&[("ROOTSPAN_HOSTS", hosts.to_str().expect("a plain path"))]);
        let traffic = Traffic::light();
        let watch = Watch::start(&process);
        traffic.flow(process.ingest(), || {
            eventually("the first gets spans", || (old.spans() > 500).then_some(()));
            assert_eq!(new.spans(), 0);
            std::fs::write(&hosts, "127.0.0.2 backend.test\n").expect("it can be written");
            old.set(Mode::Resetting);
            eventually("the other gets spans", || (new.spans() > 500).then_some(()));
        });
        let ledger = settled(&process);
        watch.end();
        let mut taken = old.seen().taken.clone();
        taken.extend(new.seen().taken.iter());
        assert_eq!(traffic.missing(&taken).len(), 0, "{protocol:?}: acknowledged spans are lost");
        let account = account(&ledger, "exporters", &id);
        assert_eq!(number(&account["delivered"]), traffic.told().acknowledged_spans(), "{account}");
        process.stop();
    }
}
