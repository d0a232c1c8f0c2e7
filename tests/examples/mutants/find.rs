//! Finds what can be changed in a source, as insertions into its text.

use std::ops::Range;

use quote::ToTokens;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{Attribute, BinOp, Block, Expr, Pat, ReturnType, Signature, Type};

/// One change that can be switched on.
#[derive(Clone, Debug)]
pub(crate) struct Mutant {
    pub(crate) line: usize,
    pub(crate) function: String,
    pub(crate) what: String,
    /// What stands before and after the original where it can be switched on. `{m}` is the switch.
    pub(crate) before: String,
    pub(crate) after: String,
    /// The original, octets of the text.
    pub(crate) at: Range<usize>,
}

/// A function that would have to stop being `const`.
#[derive(Clone, Debug)]
pub(crate) struct ConstFn {
    pub(crate) name: String,
    /// The word `const`.
    pub(crate) word: Range<usize>,
    pub(crate) all: Range<usize>,
}

#[derive(Default)]
pub(crate) struct Finder {
    pub(crate) mutants: Vec<Mutant>,
    pub(crate) const_fns: Vec<ConstFn>,
    /// Every function, the inner ones after the outer.
    pub(crate) functions: Vec<Range<usize>>,
    within: Vec<String>,
}

fn is_for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().filter(|attribute| attribute.path().is_ident("cfg")).any(|attribute| {
        let condition = attribute.to_token_stream().to_string();
        condition.contains("test")
    })
}

fn text(tokens: &impl ToTokens) -> String {
    tokens.to_token_stream().to_string()
}

impl Finder {
    /// A copy of the original that is changed, chosen by the switch.
    fn instead(&mut self, of: &impl Spanned, what: String, changed: &str) {
        let before = format!("(if {{m}} {{ {changed} }} else {{ ");
        self.add(of, what, before, " })".into());
    }

    fn add(&mut self, of: &impl Spanned, what: String, before: String, after: String) {
        let (line, at) = (of.span().start().line, of.span().byte_range());
        let function = self.within.join("::");
        self.mutants.push(Mutant { line, function, what, before, after, at });
    }

    fn function(&mut self, signature: &Signature, block: &Block, all: Range<usize>) {
        let name = signature.ident.to_string();
        if let Some(word) = signature.constness {
            let word = word.span().byte_range();
            self.const_fns.push(ConstFn { name: name.clone(), word, all: all.clone() });
        }
        self.functions.push(all);
        self.within.push(name);
        for value in values(&signature.output) {
            let what = format!("return {value} at once");
            let before = format!("{{ if {{m}} {{ return {value}; }} ");
            self.add(block, what.replace("  ", " "), before, " }".into());
        }
        visit::visit_block(self, block);
        self.within.pop();
    }
}

/// What a function of this type could return instead.
fn values(output: &ReturnType) -> Vec<String> {
    let ReturnType::Type(_, of) = output else { return vec![String::new()] };
    let of_type = text(of);
    let known: &[&str] = match &*of_type {
        "bool" => &["true", "false"],
        "u8" | "u16" | "u32" | "u64" | "usize" | "i8" | "i16" | "i32" | "i64" | "u128" | "i128" => {
            &["0", "1"]
        }
        "!" => &[],
        "& [u8]" | "& 'static [u8]" => &["&[]"],
        "& str" | "& 'static str" => &["\"\""],
        _ if of_type.starts_with("Option <") => &["None"],
        _ if of_type.starts_with("Result < ()") => &["Ok(())"],
        _ if of_type.starts_with("Result < bool") => &["Ok(true)", "Ok(false)"],
        _ if of_type.starts_with("Result <") => &["Ok(Default::default())"],
        _ if matches!(**of, Type::Path(_)) => &["Default::default()"],
        _ => &[],
    };
    known.iter().map(|&value| value.to_owned()).collect()
}

/// What may stand in an operator's place.
fn others(op: &BinOp) -> &'static [&'static str] {
    match op {
        BinOp::Eq(_) => &["!="],
        BinOp::Ne(_) => &["=="],
        BinOp::Lt(_) => &["<=", ">="],
        BinOp::Le(_) => &["<", ">"],
        BinOp::Gt(_) => &[">=", "<="],
        BinOp::Ge(_) => &[">", "<"],
        BinOp::And(_) => &["||"],
        BinOp::Or(_) => &["&&"],
        BinOp::Add(_) => &["-"],
        BinOp::Sub(_) => &["+"],
        BinOp::Mul(_) => &["/"],
        BinOp::Div(_) => &["*"],
        BinOp::Rem(_) => &["/"],
        BinOp::BitAnd(_) => &["|"],
        BinOp::BitOr(_) => &["&"],
        BinOp::BitXor(_) => &["|"],
        BinOp::Shl(_) => &[">>"],
        BinOp::Shr(_) => &["<<"],
        BinOp::AddAssign(_) => &["-="],
        BinOp::SubAssign(_) => &["+="],
        BinOp::MulAssign(_) => &["/="],
        BinOp::DivAssign(_) => &["*="],
        BinOp::BitAndAssign(_) => &["|="],
        BinOp::BitOrAssign(_) => &["&="],
        BinOp::BitXorAssign(_) => &["|="],
        BinOp::ShlAssign(_) => &[">>="],
        BinOp::ShrAssign(_) => &["<<="],
        _ => &[],
    }
}

/// Whether a name is bound in it, as in `let … &&`.
fn binds(expression: &Expr) -> bool {
    struct Looks(bool);
    impl<'ast> Visit<'ast> for Looks {
        fn visit_expr_let(&mut self, _: &'ast syn::ExprLet) {
            self.0 = true;
        }
        fn visit_expr_closure(&mut self, _: &'ast syn::ExprClosure) {}
        fn visit_block(&mut self, _: &'ast Block) {}
    }
    let mut looks = Looks(false);
    looks.visit_expr(expression);
    looks.0
}

impl<'ast> Visit<'ast> for Finder {
    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if !is_for_tests(&item.attrs) {
            visit::visit_item_mod(self, item);
        }
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        if !is_for_tests(&item.attrs) {
            self.function(&item.sig, &item.block, item.span().byte_range());
        }
    }

    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        if is_for_tests(&item.attrs) {
            return;
        }
        let name = text(&item.self_ty);
        self.within
            .push(name.split([' ', '<']).find(|word| word.len() > 1).unwrap_or("").to_owned());
        visit::visit_item_impl(self, item);
        self.within.pop();
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        if !is_for_tests(&item.attrs) && item.sig.ident != "fmt" {
            self.function(&item.sig, &item.block, item.span().byte_range());
        }
    }

    fn visit_trait_item_fn(&mut self, item: &'ast syn::TraitItemFn) {
        if let Some(block) = &item.default {
            self.function(&item.sig, block, item.span().byte_range());
        }
    }

    // What is computed while it is compiled.
    fn visit_item_const(&mut self, _: &'ast syn::ItemConst) {}
    fn visit_impl_item_const(&mut self, _: &'ast syn::ImplItemConst) {}
    fn visit_trait_item_const(&mut self, _: &'ast syn::TraitItemConst) {}
    fn visit_item_static(&mut self, _: &'ast syn::ItemStatic) {}
    fn visit_item_enum(&mut self, _: &'ast syn::ItemEnum) {}
    fn visit_expr_const(&mut self, _: &'ast syn::ExprConst) {}
    fn visit_expr_repeat(&mut self, item: &'ast syn::ExprRepeat) {
        self.visit_expr(&item.expr);
    }
    fn visit_pat(&mut self, _: &'ast Pat) {}
    fn visit_type(&mut self, _: &'ast Type) {}
    fn visit_generic_argument(&mut self, _: &'ast syn::GenericArgument) {}

    fn visit_expr_binary(&mut self, item: &'ast syn::ExprBinary) {
        if !binds(&item.left) && !binds(&item.right) {
            let (left, op, right) = (text(&item.left), text(&item.op), text(&item.right));
            for other in others(&item.op) {
                self.instead(item, format!("{op} is {other}"), &format!("{left} {other} {right}"));
            }
        }
        visit::visit_expr_binary(self, item);
    }

    fn visit_expr_unary(&mut self, item: &'ast syn::ExprUnary) {
        if matches!(item.op, syn::UnOp::Not(_)) {
            self.instead(item, "! is left out".into(), &text(&item.expr));
        }
        visit::visit_expr_unary(self, item);
    }

    fn visit_expr_match(&mut self, item: &'ast syn::ExprMatch) {
        let is_any = |arm: &syn::Arm| matches!(arm.pat, Pat::Wild(_)) && arm.guard.is_none();
        let has_any = item.arms.iter().any(is_any);
        for arm in &item.arms {
            if let Some((_, guard)) = arm.guard.as_ref().filter(|(_, guard)| !binds(guard)) {
                self.instead(guard, "a guard always holds".into(), "true");
                self.instead(guard, "a guard never holds".into(), "false");
            } else if has_any && !is_any(arm) && arm.guard.is_none() {
                let what = format!("no arm for {}", text(&arm.pat));
                self.add(&arm.pat, what, String::new(), " if !{m}".into());
            }
        }
        visit::visit_expr_match(self, item);
    }
}
