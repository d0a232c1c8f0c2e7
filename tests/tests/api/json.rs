//! `docs/json.md`: every object that `--json` can print, each of its members, and what they are, from the
//! definitions that it is printed from.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use quote::ToTokens;
use syn::{Attribute, Expr, ExprLit, Fields, GenericArgument, Item, ItemStruct, Lit, Meta};
use syn::{PathArguments, Type};

/// Where the definitions are, and what messages of that module are called.
pub(crate) const SOURCES: [(&str, &str); 6] = [
    ("event.rs", ""),
    ("config.rs", ""),
    ("service/report.rs", ""),
    ("decode/dns.rs", "Dns"),
    ("decode/dhcp.rs", "Dhcp"),
    ("decode/ntp.rs", "Ntp"),
];

const PREFACE: &str = "\
# The objects of `--json`

With `--json` every subcommand writes one object per line, flushed at once. Each has `t_us`, integer, the microseconds
since the program started (in a simulated `demo`: since that did), and `event`; the rest depends on that, as follows.
What is not known is `null`. Units are at the ends of names: `_us` microseconds, `_s` seconds. What hooks read from
their standard input is [Report](#report), too, with `event` and `interface` in front.

This page is made from the comments in the source, and a test compares;
";

/// A struct that is printed.
struct Object {
    name: String,
    about: String,
    fields: Fields,
    /// What `Fields` of this module is.
    prefix: &'static str,
}

/// The page, from the text of each source.
pub(crate) fn page(sources: &[(String, &'static str)], renew: &str) -> String {
    let (mut objects, mut events) = (Vec::new(), None);
    for (text, prefix) in sources {
        for item in syn::parse_file(text).expect("Rust").items {
            match item {
                Item::Struct(item) if is_printed(&item.attrs) => objects.push(object(item, prefix)),
                Item::Enum(item) if item.ident == "Event" => events = Some(item),
                _ => {}
            }
        }
    }
    let mut page = format!("{PREFACE}`{renew}` writes it anew.\n\n## Events\n");
    let mut linked = Vec::new();
    for variant in events.expect("the events").variants {
        let name = snake(&variant.ident.to_string());
        let _ = writeln!(page, "\n### `{name}`");
        let said = about(&variant.attrs);
        say(&mut page, &said);
        match &variant.fields {
            Fields::Named(_) => table(&mut page, &variant.fields, "", &mut linked),
            fields => {
                let of = fields.iter().next().expect("it is of something");
                let (name, _) = type_name(&of.ty);
                let object = objects.iter().find(|object| object.name == name);
                let object = object.unwrap_or_else(|| panic!("{name} is defined in no source"));
                if object.name == "Report" {
                    say(&mut page, "Its members are those of [Report](#report).");
                    linked.push(object.name.clone());
                } else {
                    say(&mut page, Some(&*object.about).filter(|more| *more != said).unwrap_or(""));
                    table(&mut page, &object.fields, object.prefix, &mut linked);
                }
            }
        }
    }
    page += "\n## What is in them\n";
    let mut told = BTreeSet::new();
    while let Some(name) = linked.iter().find(|name| !told.contains(*name)).cloned() {
        let object = objects.iter().find(|object| object.name == name);
        let object = object.unwrap_or_else(|| panic!("{name} is defined in no source"));
        let _ = writeln!(page, "\n### {name}");
        say(&mut page, &object.about);
        table(&mut page, &object.fields, object.prefix, &mut linked);
        told.insert(name);
    }
    page
}

/// A paragraph, unless it is empty.
fn say(page: &mut String, text: &str) {
    if !text.is_empty() {
        let _ = write!(page, "\n{text}\n");
    }
}

fn object(item: ItemStruct, prefix: &'static str) -> Object {
    let name = item.ident.to_string();
    let name = if name == "Fields" { format!("{prefix}{name}") } else { name };
    Object { name, about: about(&item.attrs), fields: item.fields, prefix }
}

fn table(page: &mut String, fields: &Fields, prefix: &str, linked: &mut Vec<String>) {
    if let Fields::Unnamed(_) = fields {
        return;
    }
    *page += "\n| member | type | |\n|---|---|---|\n";
    for field in fields {
        let serde = serde(&field.attrs);
        let (is, then) = type_of(&field.ty, prefix);
        linked.extend(then);
        let what = about(&field.attrs);
        if serde.contains("flatten") {
            let is = is.replace(" or `null`", "");
            let _ = writeln!(page, "| … | members of {is} | {what} |");
            continue;
        }
        let name = field.ident.as_ref().expect("a name").to_string();
        let renamed = serde.split_once("rename = \"").and_then(|(_, to)| to.split('"').next());
        let name = renamed.unwrap_or(&name);
        let left_out = serde.contains("skip_serializing_if");
        let is = if left_out { is.replace(" or `null`", "") + ", or left out" } else { is };
        let _ = writeln!(page, "| `{name}` | {is} | {what} |");
    }
}

/// How a type is printed, and the objects that are in it.
fn type_of(of: &Type, prefix: &str) -> (String, Vec<String>) {
    let (name, inner) = type_name(of);
    let in_it = || type_of(inner.as_ref().expect("a type of something"), prefix);
    let is = |text: &str| (text.to_owned(), Vec::new());
    match name.as_str() {
        "String" | "str" | "Ipv4Addr" | "SocketAddr" => is("text"),
        "bool" => is("`true` or `false`"),
        "u8" | "u16" | "u32" | "u64" | "usize" | "i8" | "i64" => is("integer"),
        "BTreeMap" | "Counters" => is("object: how often, by name"),
        "Option" => (format!("{} or `null`", in_it().0), in_it().1),
        "Vec" => (format!("list of {}", in_it().0), in_it().1),
        "Box" => in_it(),
        "Fields" if prefix.is_empty() => {
            let all = ["DnsFields", "DhcpFields", "NtpFields"];
            let links = all.map(|name| format!("[{name}](#{})", name.to_lowercase()));
            (links.join(", "), all.map(str::to_owned).to_vec())
        }
        name => (format!("[{name}](#{})", name.to_lowercase()), vec![name.to_owned()]),
    }
}

/// The last name of a type, and what is between its brackets.
fn type_name(of: &Type) -> (String, Option<Type>) {
    let path = match of {
        Type::Reference(to) => return type_name(&to.elem),
        Type::Path(path) => path.path.segments.last().expect("a name"),
        other => panic!("a type that is not known here: {}", other.to_token_stream()),
    };
    let name = path.ident.to_string();
    let inner = match &path.arguments {
        PathArguments::AngleBracketed(inner) => inner.args.first().and_then(|inner| match inner {
            GenericArgument::Type(inner) => Some(inner.clone()),
            _ => None,
        }),
        _ => None,
    };
    match (name.as_str(), inner) {
        ("Box", Some(inner)) => type_name(&inner),
        (_, inner) => (name, inner),
    }
}

fn is_printed(attributes: &[Attribute]) -> bool {
    let derives = attributes.iter().filter(|attribute| attribute.path().is_ident("derive"));
    derives.map(|derive| derive.to_token_stream().to_string()).any(|of| of.contains("Serialize"))
}

fn serde(attributes: &[Attribute]) -> String {
    let serde = attributes.iter().filter(|attribute| attribute.path().is_ident("serde"));
    serde.map(|attribute| attribute.to_token_stream().to_string()).collect()
}

/// The comment, without links of rustdoc.
fn about(attributes: &[Attribute]) -> String {
    let mut lines = Vec::new();
    for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("doc")) {
        if let Meta::NameValue(value) = &attribute.meta {
            if let Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) = &value.value {
                lines.push(text.value().trim().to_owned());
            }
        }
    }
    lines.join(" ").replace('|', "\\|")
}

fn snake(name: &str) -> String {
    let mut snake = String::new();
    for letter in name.chars() {
        if letter.is_uppercase() && !snake.is_empty() {
            snake.push('_');
        }
        snake.extend(letter.to_lowercase());
    }
    snake
}
