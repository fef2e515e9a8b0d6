//! Messages of a bus, and what pretends to be some.

use corten_dbus::{
    Value,
    message::{self, Kind, Message},
};

use crate::{
    each_input,
    mutate::{Random, bytes},
};

fn value(random: &mut Random, depth: usize) -> Value {
    let inner = |random: &mut Random| value(random, depth - 1);
    match random.below(if depth == 0 { 6 } else { 10 }) {
        0 => Value::Byte(random.next() as u8),
        1 => Value::Boolean(random.one_in(2)),
        2 => Value::Uint32(random.next() as u32),
        3 => Value::Int64(random.next() as i64),
        4 => Value::string(["", "docker", "ä"][random.below(3)]),
        5 => Value::ObjectPath("/a".to_owned()),
        6 => Value::strings(&["a", "b"][..random.below(3)]),
        7 => Value::Struct((0..=random.below(3)).map(|_| inner(random)).collect()),
        8 => Value::Variant(Box::new(inner(random))),
        _ => Value::dictionary(&[("a", inner(random)), ("b", inner(random))]),
    }
}

#[test]
fn messages_of_a_bus_are_read_or_refused() {
    each_input("messages of a bus", |random| {
        let mut message = Message::new([Kind::Call, Kind::Return, Kind::Error, Kind::Signal][random.below(4)], 7);
        (message.path, message.member) = (Some("/".to_owned()), Some("M".to_owned()));
        (message.interface, message.error) = (Some("i.f".to_owned()), Some("e.e".to_owned()));
        message.reply_to = Some(3);
        message.body = (0..random.below(4)).map(|_| value(random, 3)).collect();
        let sound = message.encode();
        assert_eq!(message::length(&sound).unwrap(), Some(sound.len()));
        assert_eq!(Message::decode(&sound).unwrap().as_ref(), Some(&message));
        let broken = bytes(random, &sound);
        if let Ok(Some(length)) = message::length(&broken) {
            assert!(length <= message::MOST_BYTES);
        }
        if let Ok(Some(read)) = Message::decode(&broken) {
            // What is read can be written, and is the same then but for what other numbers its sender may choose.
            assert_eq!(Message::decode(&read.encode()).unwrap().map(|again| again.body.len()), Some(read.body.len()));
        }
    });
}
