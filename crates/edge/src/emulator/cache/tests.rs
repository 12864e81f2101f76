use super::*;

fn headers(cache_control: &[&str]) -> HeaderMap {
    cache_control.iter().map(|value| (CACHE_CONTROL, value.parse().expect("valid value"))).collect()
}

fn seconds(cache_control: &[&str], default: u64) -> Option<u64> {
    lifetime(StatusCode::OK, &headers(cache_control), Duration::from_secs(default)).map(|lifetime| lifetime.as_secs())
}

#[test]
fn lifetimes() {
    assert_eq!(seconds(&[], 0), None);
    assert_eq!(seconds(&[], 5), Some(5));
    assert_eq!(seconds(&["public, Max-Age=60"], 5), Some(60));
    assert_eq!(seconds(&["max-age=60, s-maxage=\"90\""], 5), Some(90));
    assert_eq!(seconds(&["s-maxage=0", "max-age=60"], 5), None);
    assert_eq!(seconds(&["max-age=soon"], 5), Some(5));
    for forbidding in ["no-store", "private, max-age=60", "max-age=60,no-cache"] {
        assert_eq!(seconds(&[forbidding], 5), None, "{forbidding}");
    }
    assert_eq!(lifetime(StatusCode::NOT_FOUND, &headers(&["max-age=60"]), Duration::ZERO), None);
    let mut old = headers(&["max-age=60"]);
    old.insert(AGE, "59".parse().expect("valid value"));
    assert_eq!(lifetime(StatusCode::OK, &old, Duration::ZERO), Some(Duration::from_secs(1)));
}

#[test]
fn the_oldest_make_room_and_what_is_old_is_gone() {
    let cache = Cache::new(10);
    let cached = |size: usize, lifetime: u64| Cached {
        status: StatusCode::OK,
        headers: HeaderMap::new(),
        body: vec![0; size].into(),
        kept: Stopwatch::start(),
        lifetime: Duration::from_secs(lifetime),
    };
    cache.put("a".to_owned(), cached(4, 60));
    cache.put("b".to_owned(), cached(4, 60));
    cache.put("a".to_owned(), cached(4, 60));
    cache.put("c".to_owned(), cached(4, 60));
    assert!(cache.get("b").is_none(), "b was the oldest");
    assert!(cache.get("a").is_some() && cache.get("c").is_some());
    cache.put("d".to_owned(), cached(11, 60));
    assert!(cache.get("d").is_none() && cache.get("a").is_some());
    cache.put("a".to_owned(), cached(1, 0));
    assert!(cache.get("a").is_none());
    assert_eq!(cache.content.lock().expect("not poisoned").bytes, 4);
}
