//! Where in the directory an object lies: `NAMESPACE/KIND[.GROUP]/NAME.yaml`, with every unsafe byte encoded.

use std::path::{Path, PathBuf};

use weir_core::digest::Digest;
use weir_core::object::ResourceId;

/// The folder of objects without a namespace. No namespace can have this name.
const CLUSTER: &str = "_cluster";
/// The longest part of a path that we make, in bytes, `.yaml` left out. File systems take 255.
const MAX_PART: usize = 240;

/// An object's place below the root.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    /// The first folder: the namespace.
    pub(super) space: String,
    /// The second folder: the kind, in lower case, and its group.
    pub(super) kind: String,
    /// The file.
    pub(super) file: String,
}

impl Place {
    /// Where this object lies. Names of one kind never share a place. Kinds that differ only in upper and
    /// lower case do: the second one is refused like any foreign file.
    pub(super) fn of(id: &ResourceId) -> Place {
        let space = id
            .namespace
            .as_ref()
            .map_or(CLUSTER.to_owned(), |ns| part(&encode(ns.as_str(), false)));
        let mut kind = encode(&id.kind.to_ascii_lowercase(), true);
        if !id.group.is_empty() {
            kind = format!("{kind}.{}", encode(&id.group, false));
        }
        Place {
            space,
            kind: part(&kind),
            file: format!("{}.yaml", part(&encode(&id.name, false))),
        }
    }

    /// The path for people.
    pub(super) fn under(&self, root: &Path) -> PathBuf {
        root.join(&self.space).join(&self.kind).join(&self.file)
    }
}

/// Percent-encodes all but letters, digits, `-`, `_` and dots; a leading dot, too, so that nothing hides.
fn encode(text: &str, dots: bool) -> String {
    let mut out = String::with_capacity(text.len());
    for (at, byte) in text.bytes().enumerate() {
        let safe = byte.is_ascii_alphanumeric()
            || byte == b'-'
            || byte == b'_'
            || (byte == b'.' && at > 0 && !dots);
        if safe {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// What is too long for a file system ends in its digest. `%-` is never the start of an encoded byte.
fn part(encoded: &str) -> String {
    if encoded.len() <= MAX_PART {
        return encoded.to_owned();
    }
    let hex = Digest::of(encoded.as_bytes()).hex();
    format!("{}%-{hex}", &encoded[..MAX_PART - hex.len() - 2])
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn id(group: &str, kind: &str, namespace: Option<&str>, name: &str) -> ResourceId {
        let namespace = namespace.map(|n| n.parse().unwrap());
        ResourceId {
            group: group.into(),
            kind: kind.into(),
            namespace,
            name: name.into(),
        }
    }

    fn path(id: &ResourceId) -> String {
        Place::of(id)
            .under(Path::new("/"))
            .to_str()
            .unwrap()
            .to_owned()
    }

    #[test]
    fn the_layout_can_be_read_at_a_glance() {
        assert_eq!(
            path(&id("apps", "Deployment", Some("shop"), "web")),
            "/shop/deployment.apps/web.yaml"
        );
        assert_eq!(
            path(&id("", "ConfigMap", Some("shop"), "web.v2")),
            "/shop/configmap/web.v2.yaml"
        );
        assert_eq!(
            path(&id(
                "rbac.authorization.k8s.io",
                "ClusterRole",
                None,
                "system:node"
            )),
            "/_cluster/clusterrole.rbac.authorization.k8s.io/system%3Anode.yaml"
        );
    }

    #[test]
    fn odd_names_stay_in_their_folder_and_apart() {
        let long = "x".repeat(253);
        let other = format!("{}y", "x".repeat(252));
        let colons = ":".repeat(253);
        let names = [
            "a:b",
            "a%3Ab",
            "a%3ab",
            "a b",
            "a/b",
            "a\\b",
            "a\0b",
            "..",
            ".",
            ".a",
            "%2Ea",
            "A",
            "a",
            "é",
            ".weir-tmp-1",
            "a.yaml",
            "a\nb",
            long.as_str(),
            other.as_str(),
            colons.as_str(),
        ];
        let mut seen = BTreeSet::new();
        for name in names {
            let place = Place::of(&id("", "Role", Some("a"), name));
            assert!(
                seen.insert(place.file.clone()),
                "{name:?} shares {}",
                place.file
            );
            assert!(place.file.len() <= 255, "{name:?}");
            assert!(
                !place.file.starts_with('.') && !place.file.contains(['/', '\0']),
                "{}",
                place.file
            );
        }
    }

    #[test]
    fn a_kind_with_a_dot_is_not_a_kind_of_a_group() {
        assert_ne!(
            path(&id("", "a.b", None, "x")),
            path(&id("b", "a", None, "x"))
        );
        let long = "g".repeat(253);
        assert!(Place::of(&id(&long, &long, None, "x")).kind.len() <= 255);
    }

    #[test]
    fn no_namespace_is_taken_for_the_cluster() {
        assert!("_cluster".parse::<weir_core::name::Namespace>().is_err());
    }
}
