use super::*;

fn kept(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn of_a_query_the_names_are_kept() {
    let cases = [
        ("limit=5&page=2", "limit=REDACTED&page=2"),
        ("filter%5Bname%5D=x&a.b[c]=y", "filter%5Bname%5D=REDACTED&a.b[c]=REDACTED"),
        (
            "Signature=x&Policy=y&Key-Pair-Id=z&TOKEN=t",
            "Signature=REDACTED&Policy=REDACTED&Key-Pair-Id=REDACTED&TOKEN=REDACTED",
        ),
        // Listed, and yet a credential.
        ("token=t&page=", "token=REDACTED&page="),
        ("", ""),
        ("&&", "&&"),
        ("wsdl", "wsdl"),
        ("no-cache&flag=", "no-cache&flag="),
        // A parameter without a value is a value: a token is one, a word is not.
        ("9f86d081884c7d65", "REDACTED"),
        ("eyJhbGciOiJIUzI1NiJ9.e30.abc", "REDACTED"),
        ("dG9rZW4=", "REDACTED"),
        ("dG9rZW4x==", "REDACTED"),
        ("averylongwordthatmaywellbeone", "REDACTED"),
        // An escaped separator makes one parameter of two.
        ("a%3Dsecret", "REDACTED"),
        ("a%253Dsecret=1", "REDACTED"),
        ("page=2;token=secret", "page=2;token=REDACTED"),
        ("jos\u{e9}=1&a b=2", "jos\u{e9}=REDACTED&REDACTED"),
    ];
    for (given, expected) in cases {
        assert_eq!(query(given, &kept(&["page", "token"])), expected, "{given}");
    }
    let long = "x".repeat(65);
    assert_eq!(query(&format!("{long}=1"), &[]), "REDACTED");
    assert_eq!(query(&format!("{long}=1"), std::slice::from_ref(&long)), format!("{long}=1"));
}

#[test]
fn of_a_path_everything_but_its_parameters() {
    let cases = [
        ("/a/b", "/a/b"),
        ("/a;jsessionid=secret", "/a;jsessionid=REDACTED"),
        ("/a;jsessionid=secret/b;v=1;page=2/", "/a;jsessionid=REDACTED/b;v=REDACTED;page=2/"),
        ("/a%3Bjsessionid=secret", "/a%3Bjsessionid=REDACTED"),
        ("/a;;/;", "/a;;/;"),
        ("/a;9f86d081", "/a;REDACTED"),
    ];
    for (given, expected) in cases {
        assert_eq!(path(given, &kept(&["page"])), expected, "{given}");
    }
}

#[test]
fn of_a_referrer_the_page() {
    let cases = [
        ("https://shop.example.com/cart?step=2#pay", "https://shop.example.com/cart"),
        ("https://shop.example.com/cart%3Fstep=2", "https://shop.example.com/cart"),
        ("https://me:secret@shop.example.com/", "https://shop.example.com/"),
        ("https://shop.example.com", "https://shop.example.com"),
        ("https://shop.example.com/a;jsessionid=secret?b", "https://shop.example.com/a;jsessionid=REDACTED"),
        ("android-app://com.example/", "android-app://com.example/"),
        ("/cart?step=2", "/cart"),
    ];
    for (given, expected) in cases {
        assert_eq!(referrer(given, &[]), expected, "{given}");
    }
}

#[test]
fn of_an_address_the_network() {
    let cases = [
        ("198.51.100.11", Some("198.51.100.0")),
        ("2001:db8:1:2:3::7", Some("2001:db8:1::")),
        ("::ffff:198.51.100.11", Some("198.51.100.0")),
        // 198.51.100.11 by 6to4, and by a NAT64 whose prefix is all that is kept.
        ("2002:c633:640b:1::1", Some("2002:c633:6400::")),
        ("64:ff9b::c633:640b", Some("64:ff9b::")),
        ("unknown", None),
        ("198.51.100.11:443", None),
        ("", None),
    ];
    for (given, expected) in cases {
        assert_eq!(address(given, ClientAddress::Network).as_deref(), expected, "{given}");
        assert_eq!(address(given, ClientAddress::Full).as_deref(), Some(given));
        assert_eq!(address(given, ClientAddress::Omitted), None);
    }
}

proptest::proptest! {
    /// The networks are written here by hand, for speed: as the standard library does.
    #[test]
    fn networks_are_written_as_the_standard_library_writes_them(
        bits: u128,
        mask in proptest::sample::select(&[u128::MAX, !0 << 80, 0xffff << 112, 0xffff_0000_ffff << 80, 0x2002_ffff << 96][..]),
    ) {
        let v4 = Ipv4Addr::from_bits(bits as u32);
        let network = Ipv4Addr::from_bits(v4.to_bits() & (!0 << 8)).to_string();
        assert_eq!(address(&v4.to_string(), ClientAddress::Network), Some(network));
        let v6 = Ipv6Addr::from_bits(bits & mask);
        if v6.to_ipv4_mapped().is_none() {
            let length = if v6.segments()[0] == SIX_TO_FOUR { 40 } else { 48 };
            let network = Ipv6Addr::from_bits(v6.to_bits() & (!0 << (128 - length))).to_string();
            assert_eq!(address(&v6.to_string(), ClientAddress::Network), Some(network));
        }
    }
}
