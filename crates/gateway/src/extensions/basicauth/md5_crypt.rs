//! MD5-crypt, Apache's `apr1` and the older `$1$`: weak by now, but what `htpasswd` wrote for decades.
//!
//! ```text
//! $apr1$SALT$HASH     SALT: up to 8 characters     HASH: 16 bytes in 22 characters of `./0-9A-Za-z`
//! ```

use md5::{Digest as _, Md5};
use subtle::ConstantTimeEq as _;

const ROUNDS: usize = 1000;
const MAX_SALT_BYTES: usize = 8;
const ALPHABET: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Whether `password` has this hash.
pub(super) fn verify(password: &[u8], hash: &str) -> bool {
    let mut parts = hash.split('$').skip(1);
    let (Some(kind), Some(salt), Some(expected)) = (parts.next(), parts.next(), parts.next()) else { return false };
    let salt = salt.as_bytes();
    let salt = &salt[..salt.len().min(MAX_SALT_BYTES)];
    encode(&digest(password, format!("${kind}$").as_bytes(), salt)).as_bytes().ct_eq(expected.as_bytes()).into()
}

fn digest(password: &[u8], magic: &[u8], salt: &[u8]) -> [u8; 16] {
    let inner: [u8; 16] = Md5::new().chain_update(password).chain_update(salt).chain_update(password).finalize().into();
    let mut outer = Md5::new().chain_update(password).chain_update(magic).chain_update(salt);
    for index in 0..password.len() {
        outer.update([inner[index % 16]]);
    }
    // The bits of the length choose between a zero and the password's first byte.
    let mut length = password.len();
    while length > 0 {
        outer.update([if length & 1 == 1 { 0 } else { password[0] }]);
        length >>= 1;
    }
    let mut result: [u8; 16] = outer.finalize().into();
    for round in 0..ROUNDS {
        let is_odd = round % 2 == 1;
        let mut next = Md5::new();
        next.update(if is_odd { password } else { &result });
        if round % 3 != 0 {
            next.update(salt);
        }
        if round % 7 != 0 {
            next.update(password);
        }
        next.update(if is_odd { &result[..] } else { password });
        result = next.finalize().into();
    }
    result
}

/// Groups of three bytes, least significant six bits first, in the order that the format prescribes.
fn encode(digest: &[u8; 16]) -> String {
    const ORDER: [[usize; 3]; 5] = [[0, 6, 12], [1, 7, 13], [2, 8, 14], [3, 9, 15], [4, 10, 5]];
    let mut text = String::with_capacity(22);
    let mut push = |value: u32, characters: usize| {
        for index in 0..characters {
            text.push(char::from(ALPHABET[(value >> (6 * index) & 63) as usize]));
        }
    };
    for [a, b, c] in ORDER {
        push(u32::from(digest[a]) << 16 | u32::from(digest[b]) << 8 | u32::from(digest[c]), 4);
    }
    push(u32::from(digest[11]), 2);
    text
}
