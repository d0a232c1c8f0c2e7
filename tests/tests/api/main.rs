//! What the shipped crates offer to others, listed in `docs/api`, and compared: who changes it sees what
//! they change, and so does who reads the commit.

mod json;
mod listing;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use listing::Listing;

/// The libraries, and where they begin.
const LIBRARIES: [(&str, &str); 8] = [
    ("bringup-core", "core"),
    ("bringup-dhcp", "helpers/dhcp"),
    ("bringup-dns", "helpers/dns"),
    ("bringup-ntp", "helpers/ntp"),
    ("bringup-system", "helpers/system"),
    ("bringup-platform", "platform"),
    ("bringup", "helpers/command"),
    ("bringup-c", "helpers/c"),
];

const RENEW: &str = "BRINGUP_WRITE=1 cargo test -p bringup-tests --test api";

fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().expect("tests/ is in the workspace").to_owned()
}

/// What has come and gone, one line each.
fn difference(listed: &str, now: &str) -> String {
    let (old, new): (BTreeSet<_>, BTreeSet<_>) = (listed.lines().collect(), now.lines().collect());
    let gone = old.difference(&new).map(|line| format!("- {line}\n"));
    let come = new.difference(&old).map(|line| format!("+ {line}\n"));
    gone.chain(come).collect()
}

#[test]
fn what_is_public_is_what_the_lists_say() {
    let mut changed = String::new();
    for (name, folder) in LIBRARIES {
        // Its preface says that programs should not rely on the types of the command.
        let left_out = (name == "bringup").then_some("cli");
        let now = format!(
            "What {name} offers to others, for every target and with every feature. A test compares;\n\
             {RENEW} writes it anew.\n\n{}",
            Listing::of_crate(&root().join(folder).join("src/lib.rs"), left_out)
        );
        let file = root().join("docs/api").join(name).with_extension("txt");
        if std::env::var_os("BRINGUP_WRITE").is_some() {
            fs::write(&file, &now).expect("docs/api can be written");
        }
        let listed = fs::read_to_string(&file).unwrap_or_default();
        if listed != now {
            changed += &format!("{name}\n{}", difference(&listed, &now));
        }
    }
    assert!(
        changed.is_empty(),
        "the public interface is not what docs/api says:\n{changed}if that is meant, write it anew: {RENEW}"
    );
}

#[test]
fn what_the_command_prints_is_what_the_page_on_json_says() {
    let folder = root().join("helpers/command/src/cli");
    let read = |name| fs::read_to_string(folder.join(name)).expect("a source of the command");
    let now = json::page(&json::SOURCES.map(|(name, prefix)| (read(name), prefix)), RENEW);
    let file = root().join("docs/json.md");
    if std::env::var_os("BRINGUP_WRITE").is_some() {
        fs::write(&file, &now).expect("docs can be written");
    }
    let page = fs::read_to_string(&file).unwrap_or_default();
    assert!(
        page == now,
        "docs/json.md is not what is printed; {RENEW}\n{}",
        difference(&page, &now)
    );
}

#[test]
fn each_kind_of_member_is_on_the_page() {
    let source = r#"
        /// Something to tell.
        #[derive(Serialize)]
        pub enum Event {
            /// Came | went.
            LinkUp { /// Whether.
                up: bool },
            /// A thing.
            Thing(Box<Thing>),
        }
        /// One thing.
        #[derive(Clone, Serialize)]
        pub struct Thing {
            /// How long, microseconds.
            #[serde(rename = "type")]
            pub rtype: Option<Vec<u32>>,
            #[serde(skip_serializing_if = "Option::is_none")]
            reason: Option<&'static str>,
            #[serde(flatten)]
            part: Part,
        }
        /// Not printed.
        struct Own { no: bool }
        /// A part.
        #[derive(Serialize)]
        struct Part { counters: Counters }
    "#;
    let page = json::page(&[(source.to_owned(), "")], "again");
    let (_, events) = page.split_once("## Events\n").expect("events");
    let expected = "
### `link_up`

Came \\| went.

| member | type | |
|---|---|---|
| `up` | `true` or `false` | Whether. |

### `thing`

A thing.

One thing.

| member | type | |
|---|---|---|
| `type` | list of integer or `null` | How long, microseconds. |
| `reason` | text, or left out |  |
| … | members of [Part](#part) |  |

## What is in them

### Part

A part.

| member | type | |
|---|---|---|
| `counters` | object: how often, by name |  |
";
    assert_eq!(events, expected);
}

/// The listing of a crate of one file.
fn listing(source: &str) -> String {
    let mut listing = Listing::default();
    listing.source(source);
    listing.to_string()
}

const SMALL: &str = "
    //! A preface.
    mod hidden;
    /// Documented.
    #[derive(Clone)]
    #[non_exhaustive]
    pub struct Lease<'a, const N: usize> { pub address: [u8; 4], pub(crate) xid: u32, rest: &'a [u8; N] }
    pub enum State { Init, Bound(u8) }
    struct Own;
    impl Own { pub(crate) fn no(&self) {} }
    impl Clone for Own { fn clone(&self) -> Self { Own } }
    impl<'a, const N: usize> Lease<'a, N> {
        pub const LEN: usize = 4;
        #[must_use]
        pub fn renew(&mut self, at: u64) -> Option<u32> { private(at) }
        fn private(&self) {}
    }
    impl From<State> for u8 { fn from(state: State) -> u8 { 1 } }
    pub trait Port { type Error; fn send(&mut self, bytes: &[u8]) -> bool { bytes.is_empty() } }
    pub const MAX: u8 = 4;
    #[cfg(test)]
    pub fn only_tests() {}
    #[cfg(feature = \"std\")]
    pub mod more { pub fn also() {} }
    pub use hidden::{Deep, Deeper as Deepest};
    named! { pub enum Code { A = 1 } }
";

/// A listing that left something out would compare less than it says.
#[test]
fn each_kind_of_item_is_listed_and_what_is_private_is_not() {
    let expected = r#"#[cfg(feature = "std")] pub mod more;
#[derive(Clone)] #[non_exhaustive] pub struct Lease<'a, const N: usize> { pub address: [u8; 4], .. }
impl From<State> for u8 {}
impl<'a, const N: usize> Lease<'a, N> { #[must_use] pub fn renew(&mut self, at: u64) -> Option<u32>; }
impl<'a, const N: usize> Lease<'a, N> { pub const LEN: usize = _; }
more: pub fn also();
named! { pub enum Code { A = 1 } }
pub const MAX: u8 = _;
pub enum State { Init, Bound(u8) }
pub trait Port { type Error; fn send(&mut self, bytes: &[u8]) -> bool {} }
pub use hidden::{Deep, Deeper as Deepest};
"#;
    assert_eq!(listing(SMALL), expected);
}

/// Each of these changes what others see, or what they do not.
#[test]
fn a_change_that_others_see_changes_the_listing_and_no_other_does() {
    let seen = [
        ("pub address: [u8; 4]", "pub address: [u8; 16]"),
        ("pub address: [u8; 4]", "address: [u8; 4]"),
        ("#[derive(Clone)]", "#[derive(Clone, Copy)]"),
        ("#[non_exhaustive]", ""),
        ("Bound(u8)", "Bound(u8), Renewing"),
        ("pub const LEN: usize", "pub const LEN: u8"),
        ("#[must_use]", ""),
        ("at: u64", "at: u32"),
        ("-> Option<u32>", "-> Result<u32, ()>"),
        ("fn private(&self) {}", "pub fn private(&self) {}"),
        ("impl From<State> for u8", "impl From<State> for u16"),
        ("bytes: &[u8]) -> bool { bytes.is_empty() }", "bytes: &[u8]) -> bool;"),
        ("type Error;", "type Error: Copy;"),
        ("pub const MAX: u8", "pub const MAX: u16"),
        ("pub fn also() {}", ""),
        ("pub mod more", "mod more"),
        ("Deeper as Deepest", "Deeper"),
        ("#[cfg(test)]", ""),
        ("feature = \"std\"", "unix"),
        ("A = 1", "A = 2"),
        ("struct Own;", "pub struct Own;"),
    ];
    let unseen = [
        ("/// Documented.", "/// Documented better."),
        ("pub(crate) xid: u32", "pub(crate) xid: u64"),
        ("private(at)", "private(at + 1)"),
        ("fn private(&self) {}", "fn private(&mut self, more: u8) {}"),
        ("pub fn only_tests() {}", "pub fn only_the_tests() {}"),
        ("pub(crate) fn no(&self) {}", ""),
    ];
    let before = listing(SMALL);
    let with = |(from, to): (&str, &str)| {
        assert!(SMALL.contains(from), "{from} is no longer there");
        listing(&SMALL.replacen(from, to, 1))
    };
    for change in seen {
        assert_ne!(before, with(change), "{change:?} is not noticed");
    }
    for change in unseen {
        assert_eq!(before, with(change), "{change:?} is nobody's business");
    }
}
