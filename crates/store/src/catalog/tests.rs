use std::collections::BTreeSet;

use super::Catalog;

fn operations(service: &str, names: &[&str]) -> (String, Vec<String>) {
    (service.to_owned(), names.iter().map(|name| (*name).to_owned()).collect())
}

fn check(catalog: &Catalog, services: &[&str], of_a: &[&str]) {
    let mut found = BTreeSet::new();
    catalog.services(&mut found);
    assert!(found.iter().eq(services), "{found:?}");
    let mut found = BTreeSet::new();
    catalog.operations_of("a", &mut found);
    assert!(found.iter().eq(of_a), "{found:?}");
}

#[test]
fn a_name_stays_until_its_last_block_goes() {
    let mut catalog = Catalog::default();
    let first = catalog.add(&[operations("a", &["x", "y"]), operations("b", &["x"])]);
    let second = catalog.add(&[operations("a", &["y", "z"])]);
    check(&catalog, &["a", "b"], &["x", "y", "z"]);
    assert_eq!(catalog.operations(&first), [operations("a", &["x", "y"]), operations("b", &["x"])]);
    catalog.remove(&first);
    check(&catalog, &["a"], &["y", "z"]);
    let third = catalog.add(&[operations("c", &["x"])]);
    check(&catalog, &["a", "c"], &["y", "z"]);
    catalog.remove(&second);
    catalog.remove(&third);
    check(&catalog, &[], &[]);
}
