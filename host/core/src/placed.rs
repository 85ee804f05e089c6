//! From documents to objects with their namespaces, where most documents are those of the render before.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::digest::Digest;
use crate::name::Namespace;
use crate::object::{Object, ObjectError};
use crate::render::{Document, ParseError, parse};
use crate::scope::{self, Definition};
use crate::yaml::Budget;

/// What each document of a render came to. A document that is the same at the next one is not parsed again: of a large app
/// mostly one object changes.
#[derive(Default)]
pub struct Placed {
    /// The namespace that objects without one got.
    namespace: Option<Namespace>,
    /// The kinds that the documents define: they say which objects have a namespace.
    definitions: BTreeSet<Definition>,
    documents: BTreeMap<Digest, Vec<Object>>,
}

impl fmt::Debug for Placed {
    /// What it is, never what it holds: that may be Secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Placed({} documents)", self.documents.len())
    }
}

/// Why documents are not objects.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotPlaced {
    /// One of them is not YAML, or not an object.
    #[error(transparent)]
    Parsed(#[from] ParseError),
    /// An object cannot have its namespace.
    #[error(transparent)]
    Placed(#[from] ObjectError),
}

impl Placed {
    /// All objects of some documents, in order, and what the next render may take from here.
    ///
    /// # Errors
    /// The first document that is not YAML or not an object, or an object that cannot have the namespace.
    pub fn of(
        documents: &[Document],
        namespace: Option<&Namespace>,
        before: Option<&Placed>,
        budget: &Budget,
    ) -> Result<(Vec<Object>, Placed), NotPlaced> {
        let before = before.filter(|before| before.namespace.as_ref() == namespace);
        let keys: Vec<Digest> = documents.iter().map(key).collect();
        let known = |key| before.and_then(|before| before.documents.get(key));
        let mut fresh: Vec<(Digest, usize)> = Vec::new();
        let mut parsed = Vec::new();
        let mut definitions = BTreeSet::new();
        for (document, key) in documents.iter().zip(&keys) {
            match known(key) {
                Some(objects) => definitions.extend(objects.iter().filter_map(scope::definition)),
                None => {
                    let objects = parse(std::slice::from_ref(document), budget)?;
                    definitions.extend(objects.iter().filter_map(scope::definition));
                    fresh.push((*key, objects.len()));
                    parsed.extend(objects);
                }
            }
        }
        if before.is_some_and(|before| before.definitions != definitions) {
            // Which objects have a namespace may be otherwise now, also of those that are the same.
            return Placed::of(documents, namespace, None, budget);
        }
        let mut placed = scope::place_among(parsed, namespace, &definitions)?.into_iter();
        let mut made: BTreeMap<Digest, Vec<Object>> = BTreeMap::new();
        for (key, objects) in fresh {
            made.insert(key, placed.by_ref().take(objects).collect());
        }
        let mut all = Vec::new();
        for key in &keys {
            let objects = known(key).or_else(|| made.get(key)).cloned();
            let objects = objects.unwrap_or_default();
            all.extend(objects.iter().cloned());
            made.entry(*key).or_insert(objects);
        }
        let placed = Placed {
            namespace: namespace.cloned(),
            definitions,
            documents: made,
        };
        Ok((all, placed))
    }
}

/// What a document is known by: its bytes, and its file, which each of its objects names.
fn key(document: &Document) -> Digest {
    let mut digest = Digest::builder();
    digest.part(document.origin.as_bytes());
    digest.part(&document.body);
    digest.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn map(name: &str, value: u8) -> String {
        format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {{ name: {name} }}\ndata: {{ v: '{value}' }}\n"
        )
    }

    fn definition(scope: &str) -> String {
        format!(
            "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {{ name: things.example.com }}\n\
             spec: {{ group: example.com, names: {{ kind: Thing }}, scope: {scope} }}\n"
        )
    }

    const THING: &str =
        "apiVersion: example.com/v1\nkind: Thing\nmetadata: { name: x, namespace: own }\n";

    fn document(origin: &str, body: String) -> Document {
        Document {
            origin: origin.to_owned(),
            body: body.into_bytes(),
        }
    }

    fn plain(documents: &[Document], namespace: Option<&Namespace>) -> Vec<Object> {
        let objects = parse(documents, &Budget::HOST).unwrap();
        scope::place(objects, namespace).unwrap()
    }

    #[test]
    fn a_document_that_is_the_same_is_not_parsed_again() {
        let documents = |v| vec![document("a", map("a", 1)), document("b", map("b", v))];
        let (first, before) = Placed::of(&documents(1), None, None, &Budget::HOST).unwrap();
        let (second, _) = Placed::of(&documents(2), None, Some(&before), &Budget::HOST).unwrap();
        assert!(std::ptr::eq(first[0].json(), second[0].json()));
        assert!(!std::ptr::eq(first[1].json(), second[1].json()));
        assert_ne!(first[1], second[1]);
    }

    #[test]
    fn a_definition_that_changes_moves_objects_that_did_not() {
        let documents = |scope: &str| {
            vec![
                document("crd", definition(scope)),
                document("thing", THING.to_owned()),
            ]
        };
        let mut before = None;
        for scope in ["Namespaced", "Cluster", "Namespaced"] {
            let documents = documents(scope);
            let (objects, placed) =
                Placed::of(&documents, None, before.as_ref(), &Budget::HOST).unwrap();
            assert_eq!(objects, plain(&documents, None), "{scope}");
            before = Some(placed);
        }
    }

    #[test]
    fn what_is_not_yaml_or_not_an_object_is_said_as_ever() {
        for body in ["a: [", "- 1\n", "kind: Pod\n"] {
            let documents = [document("a", map("a", 1)), document("b", body.to_owned())];
            let expected = parse(&documents, &Budget::HOST).unwrap_err();
            let (_, before) = Placed::of(&documents[..1], None, None, &Budget::HOST).unwrap();
            for before in [None, Some(&before)] {
                let said = Placed::of(&documents, None, before, &Budget::HOST);
                assert_eq!(said.err(), Some(NotPlaced::Parsed(expected.clone())));
            }
        }
    }

    fn documents() -> impl Strategy<Value = Vec<Document>> {
        let body = prop_oneof![
            4 => (0..3_u8, 0..3_u8).prop_map(|(name, value)| map(&format!("m{name}"), value)),
            1 => Just(definition("Cluster")),
            1 => Just(definition("Namespaced")),
            1 => Just(THING.to_owned()),
            1 => Just(format!("{}---\n{THING}", map("two", 1))),
            1 => Just(String::new()),
        ];
        let one = (0..3_u8, body).prop_map(|(file, body)| document(&format!("f{file}"), body));
        proptest::collection::vec(one, 0..6)
    }

    proptest! {
        #[test]
        fn whatever_the_renders_before_were_the_objects_are_those_of_a_first_one(
            renders in proptest::collection::vec((documents(), any::<bool>()), 1..5)
        ) {
            let shop: Namespace = "shop".parse().unwrap();
            let mut before = None;
            for (documents, in_shop) in renders {
                let namespace = in_shop.then_some(&shop);
                let (objects, placed) = Placed::of(&documents, namespace, before.as_ref(), &Budget::HOST).unwrap();
                prop_assert_eq!(objects, plain(&documents, namespace));
                before = Some(placed);
            }
        }
    }
}
