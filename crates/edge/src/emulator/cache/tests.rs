use super::*;

fn headers(cache_control: &[&str]) -> HeaderMap {
    cache_control.iter().map(|value| (CACHE_CONTROL, value.parse().expect("valid value"))).collect()
}

fn policy(min: u64, default: u64, max: u64) -> CachePolicy {
    CachePolicy {
        min_ttl: Duration::from_secs(min),
        default_ttl: Duration::from_secs(default),
        max_ttl: Duration::from_secs(max),
        ..CachePolicy::default()
    }
}

fn seconds(cache_control: &[&str], policy: &CachePolicy) -> Option<u64> {
    lifetime(StatusCode::OK, &headers(cache_control), policy).map(|lifetime| lifetime.as_secs())
}

#[test]
fn lifetimes() {
    let (none, five) = (policy(0, 0, 1000), policy(0, 5, 1000));
    assert_eq!(seconds(&[], &none), None);
    assert_eq!(seconds(&[], &five), Some(5));
    assert_eq!(seconds(&["public, Max-Age=60"], &five), Some(60));
    assert_eq!(seconds(&["max-age=60, s-maxage=\"90\""], &five), Some(90));
    assert_eq!(seconds(&["s-maxage=0", "max-age=60"], &five), None);
    assert_eq!(seconds(&["max-age=soon"], &five), Some(5));
    for forbidding in ["no-store", "private, max-age=60", "max-age=60,no-cache"] {
        assert_eq!(seconds(&[forbidding], &five), None, "{forbidding}");
        assert_eq!(seconds(&[forbidding], &policy(7, 0, 1000)), Some(7), "the minimum wins: {forbidding}");
    }
    assert_eq!(lifetime(StatusCode::NOT_FOUND, &headers(&["max-age=60"]), &none), None);
    let mut old = headers(&["max-age=60"]);
    old.insert(AGE, "59".parse().expect("valid value"));
    assert_eq!(lifetime(StatusCode::OK, &old, &none), Some(Duration::from_secs(1)));
}

#[test]
fn the_policy_bounds_what_the_origin_says() {
    for (said, policy, expected) in [
        (&["max-age=60"][..], policy(100, 5, 1000), Some(100)),
        (&["max-age=60"], policy(0, 5, 30), Some(30)),
        (&[], policy(10, 5, 1000), Some(10)),
        (&["max-age=60"], CachePolicy::disabled(), None),
    ] {
        assert_eq!(seconds(said, &policy), expected, "{said:?} {policy:?}");
    }
    let mut validated = headers(&["max-age=0"]);
    validated.insert(ETAG, "\"1\"".parse().expect("valid value"));
    assert_eq!(lifetime(StatusCode::OK, &validated, &policy(0, 0, 9)), Some(Duration::ZERO), "to be asked for");
}

#[test]
fn errors_are_kept_by_their_status() {
    let kept = |status: u16, said: &[&str], min: u64| {
        let status = StatusCode::from_u16(status).expect("a status");
        let lifetime = error_lifetime(status, &headers(said), &policy(0, 0, 1000), Duration::from_secs(min));
        lifetime.map(|lifetime| lifetime.as_secs())
    };
    assert_eq!(kept(404, &[], 10), Some(10));
    assert_eq!(kept(503, &["max-age=60"], 10), Some(60));
    assert_eq!(kept(500, &[], 0), None);
    assert_eq!(kept(403, &[], 10), None);
    assert_eq!(kept(403, &["max-age=5"], 10), Some(10));
    assert_eq!(kept(418, &["max-age=5"], 10), None);
}

fn cached(size: usize, lifetime: u64) -> Cached {
    Cached {
        status: StatusCode::OK,
        headers: HeaderMap::new(),
        body: vec![0; size].into(),
        kept: Stopwatch::start(),
        lifetime: Duration::from_secs(lifetime),
    }
}

#[test]
fn the_oldest_make_room_and_what_is_old_is_expired() {
    let cache = Cache::new(10);
    let is_there = |key: &str| matches!(cache.get(key), Found::Fresh(_));
    cache.put("a".to_owned(), cached(4, 60));
    cache.put("b".to_owned(), cached(4, 60));
    cache.put("a".to_owned(), cached(4, 60));
    cache.put("c".to_owned(), cached(4, 60));
    assert!(!is_there("b"), "b was the oldest");
    assert!(is_there("a") && is_there("c"));
    cache.put("d".to_owned(), cached(11, 60));
    assert!(!is_there("d") && is_there("a"));
    cache.put("a".to_owned(), cached(1, 0));
    assert!(matches!(cache.get("a"), Found::Expired(_)));
    assert_eq!(cache.content.lock().expect("not poisoned").bytes, 5);
}

#[test]
fn what_expired_may_stand_in_unless_the_origin_forbids_it() {
    let with = |said: &[&str]| Cached { headers: headers(said), ..cached(1, 0) };
    assert!(with(&["max-age=0"]).may_stand_in());
    assert!(with(&["max-age=0, stale-if-error=60"]).may_stand_in());
    assert!(!with(&["max-age=0, stale-if-error=0"]).may_stand_in());
    assert!(!with(&["max-age=0, must-revalidate"]).may_stand_in());
    assert!(!Cached { status: StatusCode::NOT_FOUND, ..cached(1, 0) }.may_stand_in());
}

#[test]
fn one_asks_and_the_others_wait() {
    let cache = Arc::new(Cache::new(10));
    let asking = cache.ask("a").expect("the first");
    let waiting = cache.ask("a").expect_err("somebody asks");
    assert!(cache.ask("b").is_ok());
    assert!(waiting.has_changed().is_ok());
    drop(asking);
    assert!(waiting.has_changed().is_err(), "done");
    assert!(cache.ask("a").is_ok());
}
