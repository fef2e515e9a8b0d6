//! /etc/passwd and /etc/group as an image has them, by the engine's rules and the runtime's.

use corten_engine::spec::user;
use corten_runtime::home;

use crate::{
    each_input,
    mutate::{bytes, word},
};

const PASSWD: &str =
    "root:x:0:0:root:/root:/bin/sh\nweb:x:1000:1000:Web,,,:/srv/web:/bin/false\nbroken\n+nis::::::\n:x:7:7::/:\n";
const GROUP: &str = "root:x:0:\nweb:x:1000:web,root\nmany:x:5:web,web,,a\nbroken:\n";
const USERS: [&str; 8] = ["", "0", "web", "web:many", "1000:5", "4294967296", "nobody:", ":web"];

#[test]
fn accounts_are_found_or_refused() {
    each_input("passwd and group", |random| {
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        let (passwd, group) = (text(bytes(random, PASSWD.as_bytes())), text(bytes(random, GROUP.as_bytes())));
        let user = if random.one_in(4) { word(random) } else { random.of(&USERS).to_owned() };
        let extra = [word(random), "many".to_owned()];
        if let Err(error) = user::resolve(&user, &extra[random.below(2)..], &passwd, &group) {
            assert!(!error.message().is_empty());
        }
        if let Some(home) = home::find(&passwd, random.below(2000) as u32) {
            // It becomes a variable of the environment.
            assert!(!home.contains('\0') && !home.contains('\n'), "{home:?}");
        }
    });
}
