//! Tests of the policy. Rows of spec/policy.md D are in [`conformance`].

mod bandwidth;
mod conformance;
mod delivery;
mod keys;
mod layers;
mod security;
mod values;

use super::{Finding, Layer, Origin, Policy, Raw, Tree};

/// A layer of dotted keys and values.
fn layer(origin: Origin, keys: &[(&str, Raw)]) -> Layer {
    let mut tree = Tree::new();
    for (name, raw) in keys {
        put(&mut tree, name, raw.clone());
    }
    Layer { origin, file: origin.as_str().to_owned(), tree }
}

fn put(tree: &mut Tree, name: &str, raw: Raw) {
    match name.split_once('.') {
        None => drop(tree.insert(name.to_owned(), raw)),
        Some((first, rest)) => {
            let inner = tree.entry(first.to_owned()).or_insert_with(|| Raw::Table(Tree::new()));
            let Raw::Table(inner) = inner else { panic!("{first} is a value") };
            put(inner, rest, raw);
        }
    }
}

/// The policy of one administrator's file.
fn policy(keys: &[(&str, Raw)]) -> Policy {
    Policy::new(&[layer(Origin::Administrator, keys)]).expect("a usable policy")
}

fn text(text: &str) -> Raw {
    Raw::Text(text.to_owned())
}

fn list(texts: &[&str]) -> Raw {
    Raw::List(texts.iter().map(|t| text(t)).collect())
}

fn shown(policy: &Policy, name: &str) -> String {
    policy.entry(name).expect("a key of the table").value.to_string()
}

fn about<'a>(findings: &'a [Finding], key: &str) -> Vec<&'a Finding> {
    findings.iter().filter(|f| f.key.as_deref() == Some(key)).collect()
}
