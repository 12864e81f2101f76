//! Services and their span names, over all blocks. Each pair is kept once, however many blocks have it.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Catalog {
    pairs: Vec<Pair>,
    by_name: HashMap<(Arc<str>, Arc<str>), u32, foldhash::fast::RandomState>,
    free: Vec<u32>,
}

#[derive(Clone, Debug)]
struct Pair {
    service: Arc<str>,
    operation: Arc<str>,
    /// Blocks that have it.
    blocks: u32,
}

impl Catalog {
    /// Counts a block's pairs in; the numbers are to be given back when the block goes.
    pub(crate) fn add(&mut self, operations: &[(String, Vec<String>)]) -> Vec<u32> {
        let mut numbers = Vec::new();
        for (service, names) in operations {
            let service: Arc<str> = Arc::from(service.as_str());
            for name in names {
                numbers.push(self.add_pair(&service, name));
            }
        }
        numbers
    }

    fn add_pair(&mut self, service: &Arc<str>, operation: &str) -> u32 {
        let key = (Arc::clone(service), Arc::from(operation));
        if let Some(number) = self.by_name.get(&key) {
            self.pairs[*number as usize].blocks += 1;
            return *number;
        }
        let pair = Pair { service: Arc::clone(&key.0), operation: Arc::clone(&key.1), blocks: 1 };
        let number = match self.free.pop() {
            Some(number) => {
                self.pairs[number as usize] = pair;
                number
            }
            None => {
                self.pairs.push(pair);
                u32::try_from(self.pairs.len() - 1).expect("fewer than 2^32 operations")
            }
        };
        self.by_name.insert(key, number);
        number
    }

    /// Counts a block's pairs out.
    pub(crate) fn remove(&mut self, numbers: &[u32]) {
        for number in numbers {
            let pair = &mut self.pairs[*number as usize];
            pair.blocks -= 1;
            if pair.blocks == 0 {
                self.by_name.remove(&(Arc::clone(&pair.service), Arc::clone(&pair.operation)));
                self.free.push(*number);
            }
        }
    }

    /// The pairs with these numbers, as a block's entry has them.
    pub(crate) fn operations(&self, numbers: &[u32]) -> Vec<(String, Vec<String>)> {
        let mut operations: Vec<(String, Vec<String>)> = Vec::new();
        for number in numbers {
            let pair = &self.pairs[*number as usize];
            match operations.last_mut() {
                Some((service, names)) if **service == *pair.service => names.push(pair.operation.to_string()),
                _ => operations.push((pair.service.to_string(), vec![pair.operation.to_string()])),
            }
        }
        operations
    }

    pub(crate) fn services(&self, into: &mut BTreeSet<String>) {
        for (service, _) in self.by_name.keys() {
            if !into.contains(&**service) {
                into.insert(service.to_string());
            }
        }
    }

    pub(crate) fn operations_of(&self, service: &str, into: &mut BTreeSet<String>) {
        let names = self.by_name.keys().filter(|(name, _)| **name == *service);
        into.extend(names.map(|(_, operation)| operation.to_string()));
    }
}

#[cfg(test)]
mod tests;
