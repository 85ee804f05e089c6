//! A folder with a component of Weir's own, so that nothing has to be built, and cases for it.

use std::path::PathBuf;

use weir_tests::plugin_project::run;
use weir_tests::weir::Ran;
use weir_tests::{Weir, places};

/// A folder with a component and whatever cases a test writes.
pub(crate) struct Folder {
    weir: Weir,
    pub(crate) dir: PathBuf,
}

impl Folder {
    /// One with this bundled plugin as plugin.wasm.
    pub(crate) fn with(bundled: &str) -> Folder {
        let mut weir = Weir::new().unwrap();
        let dir = weir.path("plugin");
        std::fs::create_dir(&dir).unwrap();
        std::fs::write(dir.join("plugin.wasm"), places::bundled(bundled).unwrap()).unwrap();
        weir.current_dir(&dir);
        Folder { weir, dir }
    }

    pub(crate) fn write(&self, file: &str, bytes: impl AsRef<[u8]>) -> &Folder {
        let file = self.dir.join(file);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, bytes).unwrap();
        self
    }

    pub(crate) fn weir(&self, arguments: &[&str]) -> Ran {
        run(&self.weir, arguments).unwrap()
    }

    pub(crate) fn test(&self, more: &[&str]) -> Ran {
        self.weir(&[&["test", "--component", "plugin.wasm"][..], more].concat())
    }
}

pub(crate) const MAP: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: { name: settings }\n";
pub(crate) const LABELLED: &str =
    "---\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  labels:\n    team: a\n  name: settings\n";

/// A case of the bundled transformer `metadata` that is whole.
pub(crate) fn labels() -> Folder {
    let folder = Folder::with("metadata");
    folder
        .write(
            "testdata/one/case.yaml",
            "config: { labels: { team: a } }\n",
        )
        .write("testdata/one/objects.yaml", MAP)
        .write("testdata/one/expected.yaml", LABELLED);
    folder
}
