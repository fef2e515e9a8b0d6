use super::*;

/// A query as dig writes it; `edns` with its size.
pub fn query(name: &str, kind: u16, edns: Option<u16>) -> Vec<u8> {
    let mut message = vec![0xab, 0xcd, 0x01, 0x20, 0, 1, 0, 0, 0, 0, 0, u8::from(edns.is_some())];
    for label in name.split('.').filter(|label| !label.is_empty()) {
        message.push(label.len() as u8);
        message.extend_from_slice(label.as_bytes());
    }
    message.push(0);
    message.extend_from_slice(&kind.to_be_bytes());
    message.extend_from_slice(&1_u16.to_be_bytes());
    if let Some(bytes) = edns {
        message.push(0);
        message.extend_from_slice(&kind::OPT.to_be_bytes());
        message.extend_from_slice(&bytes.to_be_bytes());
        message.extend_from_slice(&[0; 6]);
    }
    message
}

fn parsed(message: &[u8]) -> Query<'_> {
    parse(message).expect("read").expect("a query")
}

#[test]
fn a_query_is_read_without_regard_to_case() {
    let message = query("WWW.Example", kind::AAAA, Some(1232));
    let query = parsed(&message);
    assert_eq!(query.name.expect("a name").as_bytes(), b"www.example");
    assert_eq!((query.kind, query.is_internet, query.edns_bytes), (kind::AAAA, true, Some(1232)));
    assert!(!query.is_single_label());
    assert!(parsed(&super::tests::query("db", kind::A, None)).is_single_label());
    assert!(!parsed(&super::tests::query("", kind::A, None)).is_single_label());
}

#[test]
fn what_is_no_query_is_answered_with_a_code_or_not_at_all() {
    let good = query("db", kind::A, None);
    let with = |index: usize, byte: u8| {
        let mut message = good.clone();
        message[index] = byte;
        message
    };
    assert!(matches!(parse(&good[..11]), Ok(None)));
    assert!(matches!(parse(&with(2, 0x81)), Ok(None)), "an answer");
    assert!(matches!(parse(&with(2, 0x29)), Err(Code::NotImp)), "an update");
    for (index, byte) in [(5, 0), (5, 2), (7, 2), (9, 2), (11, 3), (11, 1), (12, 64), (12, 0xc0)] {
        assert!(matches!(parse(&with(index, byte)), Err(Code::FormErr)), "{byte} at {index}");
    }
    assert!(matches!(parse(&query(&"a.".repeat(128), kind::A, None)), Err(Code::FormErr)), "too long");
    assert!(parsed(&query(&"a.".repeat(127), kind::A, None)).name.is_some(), "the longest");
    let mut out = Vec::new();
    answer_bad(&good, Code::FormErr, &mut out);
    assert_eq!(out, [0xab, 0xcd, 0x81, 0x81, 0, 0, 0, 0, 0, 0, 0, 0]);
    let dotted = parsed(&with(13, b'.')).name;
    assert!(dotted.is_none(), "a dot in a label is no end of it");
}

#[test]
fn an_answer_is_cut_to_what_the_client_takes() {
    let addresses = || (0..100).map(|last| IpAddr::from([10, 0, 0, last]));
    let mut out = Vec::new();
    let count = |out: &[u8]| u16::from_be_bytes([out[6], out[7]]);
    let plain = query("db", kind::A, None);
    parsed(&plain).answer_addresses(Transport::Udp, addresses(), &mut out);
    assert_eq!((count(&out), out[2] & 2, out.len() <= 512), (30, 2, true));
    parsed(&plain).answer_addresses(Transport::Tcp, addresses(), &mut out);
    assert_eq!((count(&out), out[2] & 2), (100, 0));
    let edns = query("db", kind::A, Some(1232));
    parsed(&edns).answer_addresses(Transport::Udp, addresses(), &mut out);
    assert_eq!((count(&out), out[2] & 2, out[11], out.len() <= 1232), (75, 2, 1, true));
    let small = query("db", kind::A, Some(100));
    parsed(&small).answer_addresses(Transport::Udp, addresses(), &mut out);
    assert!(out.len() <= 512 && count(&out) > 20, "less than 512 is not believed");
    parsed(&plain).answer_addresses(Transport::Udp, std::iter::empty(), &mut out);
    assert_eq!((count(&out), out[3], out.len()), (0, 0x80, plain.len()));
}

#[test]
fn addresses_are_read_backwards() {
    for address in ["1.2.3.4", "fd00::2", "2001:db8::ff00:42:8329"] {
        let address: IpAddr = address.parse().expect("an address");
        let name = match address {
            IpAddr::V4(four) => {
                let [a, b, c, d] = four.octets();
                format!("{d}.{c}.{b}.{a}.in-addr.arpa")
            }
            IpAddr::V6(six) => {
                let digits = (0..32).map(|digit| format!("{:x}.", u128::from(six) >> (4 * digit) & 0xf));
                digits.collect::<String>() + "ip6.arpa"
            }
        };
        assert_eq!(reverse(name.as_bytes()), Some(address), "{name}");
    }
    let long = "0.".repeat(33) + "ip6.arpa";
    for name in ["", "in-addr.arpa", "3.2.1.in-addr.arpa", "a.b.c.d.in-addr.arpa", "1.ip6.arpa", "+.ip6.arpa", &long] {
        assert_eq!(reverse(name.as_bytes()), None, "{name}");
    }
}

#[test]
fn only_an_answer_to_the_same_question_is_one() {
    let asked = query("example.com", kind::A, None);
    let end = parsed(&asked).question_end;
    let answer = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut answer = asked.clone();
        answer[2] |= 0x80;
        change(&mut answer);
        judge(&asked, end, &answer)
    };
    assert_eq!(answer(&|_| ()), Upstream::Answer);
    assert_eq!(answer(&|answer| answer[3] |= 3), Upstream::Answer, "no such name is one");
    assert_eq!(answer(&|answer| answer[3] |= 2), Upstream::Failed);
    assert_eq!(answer(&|answer| answer[3] |= 5), Upstream::Failed);
    assert_eq!(answer(&|answer| answer[0] ^= 1), Upstream::Foreign);
    assert_eq!(answer(&|answer| answer[2] &= 0x7f), Upstream::Foreign);
    assert_eq!(answer(&|answer| answer[14] ^= 1), Upstream::Foreign);
    assert_eq!(answer(&|answer| answer.truncate(end - 1)), Upstream::Foreign);
    let unread = |answer: &mut Vec<u8>| {
        answer.truncate(HEADER_BYTES);
        answer[5] = 0;
        answer[3] |= 1;
    };
    assert_eq!(answer(&unread), Upstream::Answer, "a server that could not read it");
}
