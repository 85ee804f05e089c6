//! The trees: charts and overlays of three sizes, of the kind that people have, made here so that both sides have the same.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

/// Where the app is in its tree.
pub(in crate::rows) const APP: &str = "app";

/// Whose tree it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::rows) enum Tool {
    Helm,
    Kustomize,
}

/// One tree and how it is rendered.
pub(in crate::rows) struct Case {
    pub(in crate::rows) name: &'static str,
    pub(in crate::rows) what: String,
    pub(in crate::rows) tool: Tool,
    /// Path and text, from the repository's root.
    pub(in crate::rows) files: Vec<(String, String)>,
    /// The app's path.
    pub(in crate::rows) dir: String,
    /// The plugin's config.
    pub(in crate::rows) config: Value,
    /// The same as the tool has it: values files in the app's folder.
    pub(in crate::rows) values: Vec<&'static str>,
}

impl Tool {
    pub(in crate::rows) fn name(self) -> &'static str {
        match self {
            Tool::Helm => "helm",
            Tool::Kustomize => "kustomize",
        }
    }

    /// How a person calls it.
    pub(in crate::rows) fn command(self) -> &'static str {
        match self {
            Tool::Helm => "helm template",
            Tool::Kustomize => "kustomize build",
        }
    }

    /// What comes before the folder.
    pub(in crate::rows) fn arguments(self) -> &'static [&'static str] {
        match self {
            Tool::Helm => &["template", "bench", "--kube-version", "1.37.0"],
            Tool::Kustomize => &["build"],
        }
    }
}

impl Case {
    /// Writes the tree for the other side.
    pub(in crate::rows) fn write(&self, folder: &Path) -> Result<()> {
        for (path, text) in &self.files {
            let path = folder.join(path);
            fs::create_dir_all(path.parent().context("a file has a folder")?)?;
            fs::write(path, text)?;
        }
        Ok(())
    }
}

/// All trees. Of few objects, the large ones are small: that is to see that everything runs. Helm's own one lies here.
///
/// # Errors
/// Helm's own chart cannot be read.
pub(in crate::rows) fn cases(objects: usize, native: &Path) -> Result<Vec<Case>> {
    let large = |size: usize| size.min(objects.max(2));
    Ok(vec![
        subchart(&native.join("cases/helm/pkg.cmd.testcharts.subchart"))?,
        small_chart(),
        chart(
            "medium-chart",
            &format!("a medium chart ({} templates)", large(30)),
            large(30),
            10,
        ),
        chart(
            "large-chart",
            &format!("a large chart ({} templates, deep values)", large(150)),
            large(150),
            60,
        ),
        overlay("small-overlay", "a small overlay (3 resources)", 3),
        overlay(
            "medium-overlay",
            &format!("a medium overlay ({} resources)", large(50)),
            large(50),
        ),
        overlay(
            "large-overlay",
            &format!("a large overlay ({} resources)", large(300)),
            large(300),
        ),
    ])
}

/// The chart `subchart` of Helm's own tests, with its two dependencies.
fn subchart(folder: &Path) -> Result<Case> {
    let mut files = Vec::new();
    let mut folders = vec![(folder.to_owned(), APP.to_owned())];
    while let Some((folder, at)) = folders.pop() {
        let entries = fs::read_dir(&folder).with_context(|| format!("{}", folder.display()))?;
        for entry in entries {
            let path = entry?.path();
            let name = path.file_name().context("a file has a name")?;
            let at = format!("{at}/{}", name.to_string_lossy());
            match path.is_dir() {
                true => folders.push((path, at)),
                false => files.push((at, fs::read_to_string(&path)?)),
            }
        }
    }
    files.sort();
    Ok(Case {
        name: "subchart",
        what: "Helm's own chart `subchart`".to_owned(),
        tool: Tool::Helm,
        files,
        dir: APP.to_owned(),
        config: json!({ "release": "bench" }),
        values: Vec::new(),
    })
}

/// The small chart.
pub(in crate::rows) fn small_chart() -> Case {
    chart("small-chart", "a small chart (4 templates)", 4, 3)
}

/// A chart of Deployments, Services and ConfigMaps in turn, with helpers and nested values.
fn chart(name: &'static str, what: &str, templates: usize, components: usize) -> Case {
    let mut files = vec![
        (format!("{APP}/Chart.yaml"), CHART.to_owned()),
        (format!("{APP}/templates/_helpers.tpl"), HELPERS.to_owned()),
        (format!("{APP}/values.yaml"), values(components, "info")),
        (
            format!("{APP}/values-prod.yaml"),
            values(components, "warn"),
        ),
    ];
    for n in 0..templates {
        let template = [DEPLOYMENT, SERVICE, CONFIG][n % 3];
        let text = template
            .replace("COMPONENT", &format!("c{}", n % components))
            .replace("NUMBER", &n.to_string());
        files.push((format!("{APP}/templates/t{n:03}.yaml"), text));
    }
    Case {
        name,
        what: what.to_owned(),
        tool: Tool::Helm,
        files,
        dir: APP.to_owned(),
        config: json!({ "release": "bench", "values": ["values-prod.yaml"] }),
        values: vec!["values-prod.yaml"],
    }
}

/// Values five levels deep, for each component.
fn values(components: usize, level: &str) -> String {
    let mut text = String::from(
        "global: {registry: registry.example, pullPolicy: IfNotPresent}\ncomponents:\n",
    );
    for n in 0..components {
        // Writing into a String cannot fail.
        let _ = write!(
            text,
            "  c{n}:\n    replicas: {}\n    image: {{name: part{n}, tag: 1.{n}.0}}\n    settings:\n      logging: {{level: {level}, format: {{kind: json, fields: {{a: 1, b: two}}}}}}\n      limits: {{connections: {n}00}}\n    \
             env: {{HOST: svc-{n}.example, PORT: \"80{n}\", MODE: {level}}}\n    resources: {{requests: {{cpu: 50m, memory: 64Mi}}, limits: {{cpu: 200m, memory: 128Mi}}}}\n",
            n % 4 + 1,
        );
    }
    text
}

/// An overlay on a base: namespace, prefix, labels, images, a patch, a replacement of counts, a generator.
fn overlay(name: &'static str, what: &str, resources: usize) -> Case {
    let mut files = vec![
        (format!("{APP}/kustomization.yaml"), OVERLAY.to_owned()),
        (
            format!("{APP}/app.properties"),
            "level=warn\nmode=prod\n".to_owned(),
        ),
    ];
    let mut list = String::from("resources:\n");
    for n in 0..resources {
        let text = [PLAIN_DEPLOYMENT, PLAIN_SERVICE, PLAIN_CONFIG][n % 3];
        // One Deployment for the patch is always there.
        let text = text.replace("NUMBER", &n.to_string());
        files.push((format!("base/r{n:03}.yaml"), text));
        let _ = writeln!(list, "- r{n:03}.yaml");
    }
    files.push(("base/kustomization.yaml".to_owned(), list));
    Case {
        name,
        what: what.to_owned(),
        tool: Tool::Kustomize,
        files,
        dir: APP.to_owned(),
        config: json!({}),
        values: Vec::new(),
    }
}

const CHART: &str = "apiVersion: v2\nname: bench\nversion: 0.1.0\nappVersion: \"1.0\"\n";

const HELPERS: &str = r#"{{- define "bench.labels" -}}
app.kubernetes.io/name: {{ .Chart.Name | trunc 63 | trimSuffix "-" }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}
{{- define "bench.image" -}}
{{ .root.Values.global.registry }}/{{ .part.image.name }}:{{ .part.image.tag }}
{{- end }}
"#;

const DEPLOYMENT: &str = r#"{{- $part := index .Values.components "COMPONENT" }}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ .Release.Name }}-dNUMBER
  labels: {{- include "bench.labels" . | nindent 4 }}
spec:
  replicas: {{ $part.replicas }}
  selector:
    matchLabels: {app: dNUMBER}
  template:
    metadata:
      labels: {app: dNUMBER}
      annotations:
        checksum/settings: {{ toYaml $part.settings | sha256sum }}
    spec:
      containers:
        - name: main
          image: {{ include "bench.image" (dict "root" $ "part" $part) | quote }}
          imagePullPolicy: {{ .Values.global.pullPolicy }}
          env:
            {{- range $name, $value := $part.env }}
            - name: {{ $name }}
              value: {{ $value | quote }}
            {{- end }}
          {{- with $part.resources }}
          resources: {{- toYaml . | nindent 12 }}
          {{- end }}
"#;

const SERVICE: &str = r#"{{- $part := index .Values.components "COMPONENT" }}
{{- if gt (int $part.replicas) 0 }}
apiVersion: v1
kind: Service
metadata:
  name: {{ .Release.Name }}-sNUMBER
  labels: {{- include "bench.labels" . | nindent 4 }}
spec:
  selector: {app: dNUMBER}
  ports:
    - port: {{ $part.env.PORT | int }}
      name: {{ printf "p-%s" (lower $part.image.name) | trunc 15 }}
{{- end }}
"#;

const CONFIG: &str = r#"{{- $part := index .Values.components "COMPONENT" }}
apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ .Release.Name }}-cNUMBER
  labels: {{- include "bench.labels" . | nindent 4 }}
data:
  settings.yaml: |
    {{- tpl (toYaml $part.settings) $ | nindent 4 }}
  level: {{ $part.settings.logging.level | upper | quote }}
"#;

const OVERLAY: &str = r"namespace: bench
namePrefix: prod-
resources: [../base]
labels:
- {pairs: {team: bench}, includeSelectors: true}
commonAnnotations: {owner: bench}
images:
- {name: registry.example/part, newTag: 2.0.0}
replicas:
- {name: d0, count: 5}
configMapGenerator:
- {name: app, files: [app.properties]}
patches:
- target: {kind: Deployment}
  patch: |-
    - {op: add, path: /spec/template/spec/containers/0/env/-, value: {name: MODE, value: prod}}
";

const PLAIN_DEPLOYMENT: &str = r"apiVersion: apps/v1
kind: Deployment
metadata:
  name: dNUMBER
spec:
  replicas: 2
  selector:
    matchLabels: {app: dNUMBER}
  template:
    metadata:
      labels: {app: dNUMBER}
    spec:
      containers:
        - name: main
          image: registry.example/part:1.0.0
          envFrom:
            - configMapRef: {name: app}
          env:
            - {name: HOST, value: sNUMBER.example}
          resources:
            limits: {cpu: 200m, memory: 128Mi}
";

const PLAIN_SERVICE: &str = r"apiVersion: v1
kind: Service
metadata:
  name: sNUMBER
spec:
  selector: {app: dNUMBER}
  ports:
    - {port: 80, targetPort: 8080}
";

const PLAIN_CONFIG: &str = r"apiVersion: v1
kind: ConfigMap
metadata:
  name: cNUMBER
data:
  host: svc-NUMBER.example
  text: the quick brown fox jumps over the lazy dog
";
