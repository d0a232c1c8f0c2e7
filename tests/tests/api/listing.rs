//! A crate's public items, one line each, read from its sources: any stable compiler will do.
//!
//! Every `pub` counts, wherever it stands, because the lint `unreachable_pub` (a warning, and the gate denies
//! warnings) lets none stand that others cannot reach. What a macro of the crate makes is listed as what the
//! macro is given. Left out: what only tests see (`cfg(test)`, the feature `testing`), whether a type is `Send` or `Sync`,
//! and the values of constants.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::path::Path;

use proc_macro2::{TokenStream, TokenTree};
use quote::ToTokens;
use syn::visit_mut::{self, VisitMut};
use syn::{
    Attribute, Field, Fields, File, ImplItem, Item, ItemImpl, ItemMod, Visibility, parse_quote,
};

/// What stands for the fields that are private.
const PRIVATE_FIELDS: &str = "__private: ()";

#[derive(Default)]
pub(crate) struct Listing {
    lines: Vec<String>,
    /// Implementations are told last, when it is known which types are private.
    impls: Vec<(String, ItemImpl)>,
    public: BTreeSet<String>,
    private: BTreeSet<String>,
    /// A module of the root that nobody should rely on.
    left_out: Option<&'static str>,
}

impl Listing {
    /// Of a crate whose root is the file `lib`, but for one of its modules.
    pub(crate) fn of_crate(lib: &Path, left_out: Option<&'static str>) -> Self {
        let mut listing = Self { left_out, ..Self::default() };
        listing.file(lib, lib.parent().expect("in a folder"), "");
        listing
    }

    /// Adds a crate of one file; a module in a file of its own is not looked for.
    pub(crate) fn source(&mut self, text: &str) {
        let file = syn::parse_file(text).expect("Rust");
        self.items(file.items, None, "");
    }

    fn file(&mut self, file: &Path, folder: &Path, module: &str) {
        let text =
            fs::read_to_string(file).unwrap_or_else(|why| panic!("{}: {why}", file.display()));
        let parsed =
            syn::parse_file(&text).unwrap_or_else(|why| panic!("{}: {why}", file.display()));
        self.items(parsed.items, Some(folder), module);
    }

    fn items(&mut self, items: Vec<Item>, folder: Option<&Path>, module: &str) {
        for item in items {
            if is_for_tests(attributes(&item)) {
                continue;
            }
            self.learn(&item);
            match item {
                Item::Mod(item) => self.module(item, folder, module),
                Item::Impl(item) => self.impls.push((module.to_owned(), item)),
                Item::Macro(item) => {
                    let text = spaced(&undocumented(item.to_token_stream()).to_string());
                    let exported = item.attrs.iter().any(|a| a.path().is_ident("macro_export"));
                    match item.ident {
                        Some(name) if exported => {
                            self.line(module, &format!("macro_rules! {name}"))
                        }
                        Some(_) => {}
                        None if text.contains("pub ") => self.line(module, &text),
                        None => {}
                    }
                }
                item if is_public(&item) => self.line(module, &shown(item)),
                _ => {}
            }
        }
    }

    fn module(&mut self, item: ItemMod, folder: Option<&Path>, module: &str) {
        let name = item.ident.to_string();
        if matches!(item.vis, Visibility::Public(_)) {
            let bare = ItemMod { content: None, semi: Some(parse_quote!(;)), ..item.clone() };
            self.line(module, &shown(Item::Mod(bare)));
        }
        if self.left_out == Some(&*name) && module.is_empty() {
            return;
        }
        let inside = if module.is_empty() { name.clone() } else { format!("{module}::{name}") };
        let below = folder.map(|folder| folder.join(&name));
        match (item.content, folder, below) {
            (Some((_, items)), _, below) => self.items(items, below.as_deref(), &inside),
            (None, Some(folder), Some(below)) => {
                let beside = folder.join(format!("{name}.rs"));
                let file = if beside.exists() { beside } else { below.join("mod.rs") };
                self.file(&file, &below, &inside);
            }
            _ => {}
        }
    }

    fn line(&mut self, module: &str, text: &str) {
        let place = if module.is_empty() { String::new() } else { format!("{module}: ") };
        self.lines.push(place + text);
    }

    /// Takes down which names are whose.
    fn learn(&mut self, item: &Item) {
        let (name, vis) = match item {
            Item::Struct(item) => (&item.ident, &item.vis),
            Item::Enum(item) => (&item.ident, &item.vis),
            Item::Union(item) => (&item.ident, &item.vis),
            Item::Trait(item) => (&item.ident, &item.vis),
            Item::Type(item) => (&item.ident, &item.vis),
            _ => return,
        };
        let is_public = matches!(vis, Visibility::Public(_));
        let names = if is_public { &mut self.public } else { &mut self.private };
        names.insert(name.to_string());
    }

    /// Whether others can write down what is implemented, and for what.
    fn is_reachable(&self, item: &ItemImpl) -> bool {
        let mut tokens = item.self_ty.to_token_stream();
        tokens.extend(item.trait_.as_ref().map(|(_, path, _)| path.to_token_stream()));
        let is_private = |name: &String| self.private.contains(name) && !self.public.contains(name);
        !identifiers(tokens).iter().any(is_private)
    }

    fn implementation(&self, item: &ItemImpl) -> Vec<String> {
        if !self.is_reachable(item) {
            return Vec::new();
        }
        let only = |items: Vec<ImplItem>| shown(Item::Impl(ItemImpl { items, ..item.clone() }));
        if item.trait_.is_some() {
            let types = item.items.iter().filter(|item| matches!(item, ImplItem::Type(_)));
            return vec![only(types.cloned().collect())];
        }
        let members = item.items.iter().filter(|member| match member {
            ImplItem::Const(item) => {
                matches!(item.vis, Visibility::Public(_)) && !is_for_tests(&item.attrs)
            }
            ImplItem::Fn(item) => {
                matches!(item.vis, Visibility::Public(_)) && !is_for_tests(&item.attrs)
            }
            _ => false,
        });
        members.map(|member| only(vec![member.clone()])).collect()
    }
}

impl fmt::Display for Listing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines = self.lines.clone();
        for (module, item) in &self.impls {
            let place = if module.is_empty() { String::new() } else { format!("{module}: ") };
            lines.extend(self.implementation(item).into_iter().map(|text| place.clone() + &text));
        }
        lines.sort();
        lines.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Union(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

fn is_public(item: &Item) -> bool {
    let vis = match item {
        Item::Const(item) => &item.vis,
        Item::Enum(item) => &item.vis,
        Item::ExternCrate(item) => &item.vis,
        Item::Fn(item) => &item.vis,
        Item::Static(item) => &item.vis,
        Item::Struct(item) => &item.vis,
        Item::Trait(item) => &item.vis,
        Item::Type(item) => &item.vis,
        Item::Union(item) => &item.vis,
        Item::Use(item) => &item.vis,
        _ => return false,
    };
    matches!(vis, Visibility::Public(_))
}

/// `#[cfg(test)]`, `all` of that and more, or the feature with which ports test themselves.
fn is_for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().filter(|attribute| attribute.path().is_ident("cfg")).any(|attribute| {
        let condition = attribute.meta.require_list().expect("a list").tokens.to_string();
        let condition: String = condition.split_whitespace().collect();
        let testing = "any(test,feature=\"testing\")";
        condition == "test" || condition.starts_with("all(test,") || condition.contains(testing)
    })
}

/// Takes away what is nobody's business: bodies, values, private fields, comments.
struct Bare;

impl VisitMut for Bare {
    fn visit_attributes_mut(&mut self, attributes: &mut Vec<Attribute>) {
        let kept = [
            "cfg",
            "cfg_attr",
            "deprecated",
            "derive",
            "must_use",
            "non_exhaustive",
            "repr",
            "unsafe",
        ];
        attributes.retain(|attribute| kept.iter().any(|name| attribute.path().is_ident(name)));
    }

    fn visit_block_mut(&mut self, block: &mut syn::Block) {
        block.stmts.clear();
    }

    fn visit_pat_ident_mut(&mut self, pattern: &mut syn::PatIdent) {
        pattern.mutability = None;
    }

    fn visit_item_const_mut(&mut self, item: &mut syn::ItemConst) {
        *item.expr = parse_quote!(_);
        visit_mut::visit_item_const_mut(self, item);
    }

    fn visit_impl_item_const_mut(&mut self, item: &mut syn::ImplItemConst) {
        item.expr = parse_quote!(_);
        visit_mut::visit_impl_item_const_mut(self, item);
    }

    fn visit_item_static_mut(&mut self, item: &mut syn::ItemStatic) {
        *item.expr = parse_quote!(_);
        visit_mut::visit_item_static_mut(self, item);
    }

    fn visit_item_struct_mut(&mut self, item: &mut syn::ItemStruct) {
        let is_public = |field: &Field| matches!(field.vis, Visibility::Public(_));
        match &mut item.fields {
            Fields::Named(fields) => {
                let all = fields.named.len();
                let named = std::mem::take(&mut fields.named);
                fields.named = named.into_iter().filter(is_public).collect();
                if fields.named.len() < all {
                    fields.named.push(parse_quote!(__private: ()));
                }
            }
            Fields::Unnamed(fields) => {
                for field in fields.unnamed.iter_mut().filter(|field| !is_public(field)) {
                    *field = parse_quote!(_);
                }
            }
            Fields::Unit => {}
        }
        visit_mut::visit_item_struct_mut(self, item);
    }
}

/// An item in one line.
fn shown(mut item: Item) -> String {
    Bare.visit_item_mut(&mut item);
    let file = File { shebang: None, attrs: Vec::new(), items: vec![item] };
    let text = spaced(&prettyplease::unparse(&file)).replace(PRIVATE_FIELDS, "..");
    match &file.items[..] {
        // Only a trait says by a body that it has one.
        [Item::Fn(_)] => text.replace(" {}", ";"),
        [Item::Impl(_)] => text.replace(" {} }", "; }"),
        _ => text,
    }
}

/// One line, with the spaces that somebody would write.
fn spaced(text: &str) -> String {
    let mut text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let habits = [
        ("( ", "("),
        (" )", ")"),
        (",)", ")"),
        (" ,", ","),
        (", }", " }"),
        (", {", " {"),
        (",>", ">"),
        (" :", ":"),
        ("[ ", "["),
        (" ]", "]"),
        ("< ", "<"),
        (" >", ">"),
        ("->", " ->"),
        ("  ->", " ->"),
        ("& ", "&"),
        ("# [", "#["),
        (" !", "!"),
    ];
    for (written, habit) in habits {
        text = text.replace(written, habit);
    }
    text
}

fn undocumented(tokens: TokenStream) -> TokenStream {
    let mut kept: Vec<TokenTree> = Vec::new();
    for token in tokens {
        let TokenTree::Group(group) = token else {
            kept.push(token);
            continue;
        };
        let begins = group.stream().into_iter().next().map(|first| first.to_string());
        let is_attribute =
            matches!(kept.last(), Some(TokenTree::Punct(mark)) if mark.as_char() == '#');
        if is_attribute && begins.as_deref() == Some("doc") {
            kept.pop();
        } else {
            let inside = undocumented(group.stream());
            kept.push(TokenTree::Group(proc_macro2::Group::new(group.delimiter(), inside)));
        }
    }
    kept.into_iter().collect()
}

fn identifiers(tokens: TokenStream) -> Vec<String> {
    let names = tokens.into_iter().flat_map(|token| match token {
        TokenTree::Ident(name) => vec![name.to_string()],
        TokenTree::Group(group) => identifiers(group.stream()),
        _ => Vec::new(),
    });
    names.collect()
}
