//! nginx's list of a request's headers: reading, setting and removing.
//!
//! The list is a chain of parts, each an array. Pointers into the arrays are all over nginx (`headers_in.host`, …), so no element
//! may be moved; what is removed is cut out by splitting its part. nginx's readers allow an empty part at the front only.

use std::ptr::null_mut;

use nginx_sys::*;

/// Elements of a part that is made anew, as nginx itself makes them.
const PART_ELEMENTS: usize = 20;

/// Iterates over names (in lower case) and values.
#[derive(Debug)]
pub(super) struct Headers {
    part: *const ngx_list_part_t,
    index: usize,
}

impl Headers {
    /// # Safety
    ///
    /// `list` is a valid list of headers or all zero, and is not changed while the iterator is used.
    pub(super) unsafe fn new(list: *const ngx_list_t) -> Self {
        // SAFETY: the first part lies within the list.
        Self { part: unsafe { &raw const (*list).part }, index: 0 }
    }

    /// The next element.
    ///
    /// # Safety
    ///
    /// As for [`Self::new`].
    unsafe fn element(&mut self) -> Option<(*mut ngx_list_part_t, usize, *mut ngx_table_elt_t)> {
        // SAFETY: the parts of a valid list are valid, each with `nelts` elements.
        unsafe {
            while self.index >= (*self.part).nelts {
                if (*self.part).next.is_null() {
                    return None;
                }
                self.part = (*self.part).next;
                self.index = 0;
            }
            let element = (*self.part).elts.cast::<ngx_table_elt_t>().add(self.index);
            self.index += 1;
            Some((self.part.cast_mut(), self.index - 1, element))
        }
    }
}

impl Iterator for Headers {
    type Item = (ngx_str_t, ngx_str_t);

    fn next(&mut self) -> Option<Self::Item> {
        // SAFETY: the contract of `new` holds while the iterator is used; elements are initialised.
        unsafe {
            let (.., element) = self.element()?;
            Some((name(element), (*element).value))
        }
    }
}

/// The name in lower case, if nginx has made it so.
///
/// # Safety
///
/// `element` is an initialised element.
unsafe fn name(element: *const ngx_table_elt_t) -> ngx_str_t {
    // SAFETY: by the contract; the two names have the same length.
    unsafe {
        let lower = (*element).lowcase_key;
        ngx_str_t { len: (*element).key.len, data: if lower.is_null() { (*element).key.data } else { lower } }
    }
}

/// Sets header `name`, in place of the first one of that name; others of that name are removed.
///
/// # Safety
///
/// `list` is a valid list of headers or all zero, `pool` is valid and lives as long; nobody iterates.
pub(super) unsafe fn set(list: *mut ngx_list_t, pool: *mut ngx_pool_t, name: &'static str, value: &str) {
    // SAFETY: by the contract. A new element is all zero, which its further fields in newer versions want, before it is filled; the name
    // is a constant of this library, which stays mapped (build.rs) and is not written to.
    unsafe {
        let Some(value) = super::pool_copy(pool, value.as_bytes()) else { return };
        if let Some(first) = find(list, name, 0) {
            (*first.2).value = value;
            while find(list, name, 1).is_some_and(|(part, index, _)| cut(list, pool, part, index)) {}
            return;
        }
        let element = push(list, pool);
        if element.is_null() {
            return;
        }
        element.write_bytes(0, 1);
        (*element).hash = hash(name);
        (*element).key = ngx_str_t { len: name.len(), data: name.as_ptr().cast_mut() };
        (*element).lowcase_key = name.as_ptr().cast_mut();
        (*element).value = value;
    }
}

/// Removes every header `name`.
///
/// # Safety
///
/// As for [`set`].
pub(super) unsafe fn remove(list: *mut ngx_list_t, pool: *mut ngx_pool_t, name: &str) {
    // SAFETY: by the contract.
    unsafe { while find(list, name, 0).is_some_and(|(part, index, _)| cut(list, pool, part, index)) {} }
}

/// The header `wanted` after `skip` others of that name.
///
/// # Safety
///
/// As for [`set`].
unsafe fn find(
    list: *mut ngx_list_t,
    wanted: &str,
    mut skip: usize,
) -> Option<(*mut ngx_list_part_t, usize, *mut ngx_table_elt_t)> {
    // SAFETY: by the contract; the list is not changed in here.
    unsafe {
        let mut headers = Headers::new(list);
        while let Some(found) = headers.element() {
            let has_length = (*found.2).key.len == wanted.len();
            if has_length && name(found.2).as_bytes().eq_ignore_ascii_case(wanted.as_bytes()) {
                if skip == 0 {
                    return Some(found);
                }
                skip -= 1;
            }
        }
        None
    }
}

/// A new element at the end; null without memory. A list that is all zero is made first: nginx does not, for HTTP/0.9.
///
/// # Safety
///
/// As for [`set`].
unsafe fn push(list: *mut ngx_list_t, pool: *mut ngx_pool_t) -> *mut ngx_table_elt_t {
    // SAFETY: by the contract; what is written are the fields that nginx's own `ngx_list_init` writes.
    unsafe {
        if (*list).pool.is_null() {
            let elements = ngx_palloc(pool, PART_ELEMENTS * size_of::<ngx_table_elt_t>());
            if elements.is_null() {
                return null_mut();
            }
            (*list).part = ngx_list_part_t { elts: elements, nelts: 0, next: null_mut() };
            (*list).last = &raw mut (*list).part;
            (*list).size = size_of::<ngx_table_elt_t>();
            (*list).nalloc = PART_ELEMENTS;
            (*list).pool = pool;
        }
        ngx_list_push(list).cast()
    }
}

/// Cuts element `index` out of `part`. False without memory for a split: the header stays, with an empty value.
///
/// # Safety
///
/// As for [`set`]; `part` is one of the list's and has the element.
unsafe fn cut(list: *mut ngx_list_t, pool: *mut ngx_pool_t, part: *mut ngx_list_part_t, index: usize) -> bool {
    // SAFETY: by the contract. Only the chain changes, no element moves. A part that gets empty is unlinked, unless it is the first. As
    // the last part may now end before or behind its allocation, the list is told that it is full: `ngx_list_push` then makes a new
    // part, of at least one element. An empty first and last part keeps its allocation, of which `nalloc` is at most the size.
    unsafe {
        let elements = (*part).elts.cast::<ngx_table_elt_t>();
        let first = &raw mut (*list).part;
        let behind = (*part).nelts - index - 1;
        if behind > 0 {
            let rest = ngx_palloc(pool, size_of::<ngx_list_part_t>()).cast::<ngx_list_part_t>();
            if rest.is_null() {
                (*elements.add(index)).value = ngx_str_t::empty();
                return false;
            }
            rest.write(ngx_list_part_t { elts: elements.add(index + 1).cast(), nelts: behind, next: (*part).next });
            (*part).next = rest;
            if (*list).last == part {
                (*list).last = rest;
            }
        }
        (*part).nelts = index;
        if index == 0 && part != first {
            let mut before = first;
            while (*before).next != part {
                before = (*before).next;
            }
            (*before).next = (*part).next;
            if (*list).last == part {
                (*list).last = before;
            }
        }
        if (*(*list).last).nelts > 0 {
            (*list).nalloc = (*(*list).last).nelts;
        }
        true
    }
}

/// nginx's hash of a name in lower case (`ngx_hash_key`).
fn hash(name: &str) -> ngx_uint_t {
    name.bytes().fold(0, |hash: ngx_uint_t, byte| hash.wrapping_mul(31).wrapping_add(ngx_uint_t::from(byte)))
}
