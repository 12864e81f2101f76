use std::convert::Infallible;

use super::Cache;

fn load(cache: &Cache<u64>, block: u64, loads: &mut u32) -> u64 {
    let value = cache.get(block, || {
        *loads += 1;
        Ok::<_, Infallible>((block * 10, 40))
    });
    *value.expect("loading does not fail")
}

#[test]
fn least_recently_used_goes_first() {
    let cache = Cache::new(100);
    let mut loads = 0;
    assert_eq!(load(&cache, 1, &mut loads), 10);
    assert_eq!(load(&cache, 2, &mut loads), 20);
    assert_eq!(load(&cache, 1, &mut loads), 10);
    assert_eq!(loads, 2);
    load(&cache, 3, &mut loads);
    load(&cache, 1, &mut loads);
    assert_eq!(loads, 3, "1 was used more recently than 2 and stayed");
    load(&cache, 2, &mut loads);
    assert_eq!(loads, 4);
}

#[test]
fn a_value_larger_than_the_bound_is_kept_alone() {
    let cache = Cache::new(10);
    let mut loads = 0;
    load(&cache, 1, &mut loads);
    load(&cache, 1, &mut loads);
    assert_eq!(loads, 1);
    cache.remove(1);
    load(&cache, 1, &mut loads);
    assert_eq!(loads, 2);
}
