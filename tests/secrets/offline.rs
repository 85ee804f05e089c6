//! What of encrypted files needs no cluster and no key: renders, directories, refusals at render.

use weir_tests::{Listing, Repo, Weir, tree_digest};

use super::rig::{MARKER, Rig};

/// A repository with an encrypted Secret, lines and files of a generator, and a machine without any key.
fn repository(rig: &Rig) -> Repo {
    let regex = ["--encrypted-regex", "^(data|stringData)$"];
    let manifest = format!(
        "apiVersion: v1\nkind: Secret\nmetadata:\n  name: db\nstringData:\n  password: {MARKER}\n"
    );
    let mut repo = Repo::empty().unwrap();
    repo.write_text(
        "//- weir.yaml\n\
         version: 1\n\
         apps:\n\
         - { name: web, path: web, target: { namespace: shop } }\n\
         - { name: made, path: made, target: { namespace: shop } }\n\
         //- made/kustomization.yaml\n\
         secretGenerator:\n\
         - { name: files, files: [a.yaml] }\n\
         - { name: lines, envs: [a.env] }\n",
    )
    .unwrap();
    repo.write(
        "web/secret.yaml",
        rig.encrypt("secret.yaml", manifest, &regex),
    )
    .unwrap();
    repo.write(
        "made/a.yaml",
        rig.encrypt("a.yaml", format!("a: {MARKER}\n"), &[]),
    )
    .unwrap();
    repo.write(
        "made/a.env",
        rig.encrypt("a.env", format!("A={MARKER}\n"), &[]),
    )
    .unwrap();
    repo.commit("first").unwrap();
    repo
}

#[test]
fn a_render_and_a_directory_have_the_ciphertext_and_need_no_key() {
    let rig = Rig::new();
    let repo = repository(&rig);
    let weir = Weir::new().unwrap();
    weir.begin_with_engines().unwrap();
    let path = repo.path();
    let path = path.to_str().unwrap();
    let rendered = weir
        .run(["render", "--repo", path])
        .unwrap()
        .success()
        .unwrap();
    assert!(
        rendered.contains("password: ENC[AES256_GCM,data:"),
        "{rendered}"
    );
    let target = format!("dir:{}", weir.path("live").display());
    let sync = ["sync", "--repo", path, "--target", &target];
    weir.run(sync).unwrap().code(0).unwrap();
    let mut held = String::new();
    for file in Listing::read(&weir.path("live")).unwrap().paths() {
        held.push_str(&std::fs::read_to_string(weir.path("live").join(file)).unwrap());
    }
    assert!(held.contains("password: ENC[AES256_GCM,data:"), "{held}");
    assert!(
        held.contains("sops_mac: ") && !held.contains(MARKER),
        "{held}"
    );
    // With a key it is no other.
    let key = rig.key.path.to_str().unwrap();
    let before = tree_digest(&weir.path("live")).unwrap();
    let again = weir.run(sync.iter().chain(&["--age-key-file", key]));
    again.unwrap().code(0).unwrap();
    assert_eq!(tree_digest(&weir.path("live")).unwrap(), before);
}

#[test]
fn encrypted_values_of_a_chart_are_refused_with_the_way_out() {
    let rig = Rig::new();
    let weir = Weir::new().unwrap();
    weir.begin_with_engines().unwrap();
    let sealed = rig.encrypt("values.yaml", format!("password: {MARKER}\n"), &[]);
    for (values, file) in [
        (
            "render: { plugin: helm, config: { values: [secret.yaml] } },",
            "chart/secret.yaml",
        ),
        (
            "render: { plugin: helm, config: { values: [/shared/../secret.yaml] } },",
            "secret.yaml",
        ),
        ("", "chart/values.yaml"),
    ] {
        let mut repo = Repo::empty().unwrap();
        repo.write_text(&format!(
            "//- weir.yaml\n\
             version: 1\n\
             apps: [{{ name: chart, path: chart, {values} target: {{ namespace: shop }} }}]\n\
             //- chart/Chart.yaml\n\
             {{ apiVersion: v2, name: chart, version: 1.0.0 }}\n\
             //- chart/templates/a.yaml\n\
             apiVersion: v1\n\
             kind: Secret\n\
             metadata: {{ name: a }}\n\
             stringData: {{ password: {{{{ .Values.password | quote }}}} }}\n"
        ))
        .unwrap();
        repo.write(file, &sealed).unwrap();
        repo.commit("first").unwrap();
        let path = repo.path();
        let ran = weir
            .run(["render", "--repo", path.to_str().unwrap()])
            .unwrap()
            .code(1)
            .unwrap();
        let said = format!("app `chart`: {file} is encrypted with SOPS");
        assert!(ran.stderr.contains(&said), "{}", ran.stderr);
        assert!(ran.stderr.contains("existingSecret"), "{}", ran.stderr);
    }
}

#[test]
fn an_object_that_is_encrypted_as_a_whole_is_told_how_to_encrypt() {
    let rig = Rig::new();
    let weir = Weir::new().unwrap();
    let mut repo = Repo::empty().unwrap();
    repo.write_text("//- weir.yaml\nversion: 1\napps: [{ name: web, path: web, target: { namespace: shop } }]\n")
        .unwrap();
    let manifest = "apiVersion: v1\nkind: Secret\nmetadata:\n  name: db\nstringData:\n  a: b\n";
    repo.write("web/secret.yaml", rig.encrypt("s.yaml", manifest, &[]))
        .unwrap();
    repo.commit("first").unwrap();
    let path = repo.path();
    let ran = weir
        .run(["render", "--repo", path.to_str().unwrap()])
        .unwrap()
        .code(1)
        .unwrap();
    let said = "web/secret.yaml:1: `apiVersion` is encrypted with SOPS";
    assert!(ran.stderr.contains(said), "{}", ran.stderr);
    assert!(
        ran.stderr
            .contains("--encrypted-regex '^(data|stringData)$'"),
        "{}",
        ran.stderr
    );
}
