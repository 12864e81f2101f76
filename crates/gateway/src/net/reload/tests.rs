use super::*;
use crate::net::tls::testing::Folder;

fn text(folder: &Folder) -> Arc<Reloading<String>> {
    let sources = vec![Source::File { key: "filename", path: folder.path("a") }];
    let make = |contents: &[Vec<u8>]| match std::str::from_utf8(&contents[0]) {
        Ok("") => Err("it is empty".to_owned()),
        Ok(text) => Ok(text.to_owned()),
        Err(_) => Err("it is not text".to_owned()),
    };
    Reloading::load("test", sources, Duration::from_secs(10), make).expect("is sound")
}

#[tokio::test(start_paused = true)]
async fn a_change_is_seen_after_the_period_and_not_before() {
    let folder = Folder::new();
    folder.write("a", "one");
    let reloading = text(&folder);
    folder.write("a", "two");
    assert_eq!(*reloading.current().await, "one");
    tokio::time::advance(Duration::from_secs(11)).await;
    assert_eq!(*reloading.current().await, "two");
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_used_leaves_the_old_and_the_next_good_one_is_taken() {
    let folder = Folder::new();
    folder.write("a", "one");
    let reloading = text(&folder);
    for (new, expected) in [("", "one"), ("one", "one"), ("", "one"), ("two", "two")] {
        folder.write("a", new);
        tokio::time::advance(Duration::from_secs(11)).await;
        assert_eq!(*reloading.current().await, expected);
    }
    std::fs::remove_file(folder.path("a")).expect("it is there");
    tokio::time::advance(Duration::from_secs(11)).await;
    assert_eq!(*reloading.current().await, "two");
}

#[test]
fn a_first_value_that_cannot_be_made_is_an_error() {
    let folder = Folder::new();
    let sources = vec![Source::File { key: "filename", path: folder.path("none") }];
    let loaded = Reloading::load("test", sources, DEFAULT_PERIOD, |_| Ok(()));
    assert_eq!(loaded.err(), Some(format!("filename {}: the file does not exist", folder.path("none").display())));
}
