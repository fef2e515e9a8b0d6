//! Whose rights a process has: names of the container's own `/etc/passwd` and `/etc/group`.

use crate::errors::{EngineError, Result};

/// Numbers the kernel takes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResolvedUser {
    /// User.
    pub uid: u32,
    /// Primary group.
    pub gid: u32,
    /// All groups, sorted. The primary one is among them, so that what a file denies its members holds
    /// after a change of the primary group, too (CVE-2022-36109).
    pub groups: Vec<u32>,
}

/// Resolves `user` (`name|uid[:group|gid]`, empty for root) and the names in `extra_groups`.
///
/// A user found in the files brings their groups with them unless a group is named.
///
/// # Errors
/// In docker's words, when a name is not in the file, or a number is too large.
pub fn resolve(user: &str, extra_groups: &[String], passwd: &str, group: &str) -> Result<ResolvedUser> {
    let (user_part, group_part) = user.split_once(':').unwrap_or((user, ""));
    let entry = find_user(user_part, passwd);
    let (uid, mut gid, name) = match (&entry, number(user_part)?) {
        (Some(entry), _) => (entry.uid, entry.gid, Some(entry.name)),
        (None, _) if user_part.is_empty() => (0, 0, None),
        (None, Some(uid)) => (uid, 0, None),
        (None, None) => {
            return Err(EngineError::invalid(format!(
                "unable to find user {user_part}: no matching entries in passwd file"
            )));
        }
    };
    let mut groups = Vec::new();
    if group_part.is_empty() {
        groups.extend(name.into_iter().flat_map(|name| groups_of(name, group)));
    } else {
        gid = find_group(group_part, group)?;
    }
    for extra in extra_groups {
        groups.push(find_group(extra, group)?);
    }
    groups.push(gid);
    groups.sort_unstable();
    groups.dedup();
    Ok(ResolvedUser { uid, gid, groups })
}

/// Largest id docker takes.
const MAX_ID: u32 = i32::MAX as u32;

/// A number that stands for a user or group; `None` for a name. Go reads 64 bits and then looks at the range.
fn number(text: &str) -> Result<Option<u32>> {
    let Ok(number) = text.parse::<i64>() else { return Ok(None) };
    let id = u32::try_from(number).ok().filter(|id| *id <= MAX_ID);
    id.map(Some).ok_or_else(|| EngineError::invalid("uids and gids must be in range 0-2147483647"))
}

struct PasswdEntry<'a> {
    name: &'a str,
    uid: u32,
    gid: u32,
}

/// The entry of that name, else of that number; root's when nothing is asked.
fn find_user<'a>(wanted: &str, passwd: &'a str) -> Option<PasswdEntry<'a>> {
    let entries = || {
        passwd.lines().filter_map(|line| {
            let mut fields = line.split(':');
            let name = fields.next()?;
            let uid = fields.nth(1)?.trim().parse().ok()?;
            Some(PasswdEntry { name, uid, gid: fields.next()?.trim().parse().ok()? })
        })
    };
    let wanted = if wanted.is_empty() { "0" } else { wanted };
    let by_name = entries().find(|entry| entry.name == wanted);
    by_name.or_else(|| wanted.parse().ok().and_then(|uid: u32| entries().find(|entry| entry.uid == uid)))
}

fn group_lines(group: &str) -> impl Iterator<Item = (&str, u32, &str)> {
    group.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        let gid = fields.nth(1)?.trim().parse().ok()?;
        Some((name, gid, fields.next().unwrap_or_default()))
    })
}

fn groups_of(user: &str, group: &str) -> Vec<u32> {
    let is_member = |members: &str| members.split(',').any(|member| member.trim() == user);
    group_lines(group).filter(|(_, _, members)| is_member(members)).map(|(_, gid, _)| gid).collect()
}

fn find_group(wanted: &str, group: &str) -> Result<u32> {
    if let Some((_, gid, _)) = group_lines(group).find(|(name, _, _)| *name == wanted) {
        return Ok(gid);
    }
    number(wanted)?.ok_or_else(|| {
        EngineError::invalid(format!("unable to find group {wanted}: no matching entries in group file"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nada:x:1000:1001::/home/ada:/bin/sh\n\nbroken\n";
    const GROUP: &str = "root:x:0:\nwheel:x:10:root,ada\nusers:x:1001:\nvideo:x:44:ada\n";

    fn check(user: &str, extra: &[&str]) -> (u32, u32, Vec<u32>) {
        let extra: Vec<String> = extra.iter().map(|name| (*name).to_owned()).collect();
        let user = resolve(user, &extra, PASSWD, GROUP).unwrap();
        (user.uid, user.gid, user.groups)
    }

    #[test]
    fn names_and_numbers_bring_their_groups() {
        assert_eq!(check("", &[]), (0, 0, vec![0, 10]));
        assert_eq!(check("ada", &[]), (1000, 1001, vec![10, 44, 1001]));
        assert_eq!(check("1000", &[]), (1000, 1001, vec![10, 44, 1001]));
        assert_eq!(check("ada:video", &[]), (1000, 44, vec![44]));
        assert_eq!(check("4000", &["wheel", "77"]), (4000, 0, vec![0, 10, 77]));
        assert_eq!(check("4000:4001", &[]), (4000, 4001, vec![4001]));
    }

    #[test]
    fn unknown_names_are_refused_in_dockers_words() {
        let text = |user: &str| resolve(user, &[], PASSWD, GROUP).unwrap_err().message();
        assert_eq!(text("eve"), "unable to find user eve: no matching entries in passwd file");
        assert_eq!(text("ada:eve"), "unable to find group eve: no matching entries in group file");
        for out_of_range in ["4294967295", "9999999999", "-1", "ada:9999999999"] {
            assert_eq!(text(out_of_range), "uids and gids must be in range 0-2147483647", "{out_of_range}");
        }
        assert!(text("99999999999999999999").starts_with("unable to find user 9"));
        assert!(resolve("", &[], "", "").is_ok());
    }
}
