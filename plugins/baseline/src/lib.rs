//! The bundled `baseline` validator: pinned images, no privileged containers,
//! no access to the host, resource limits. Each check is an error, a warning or off.

use serde::Deserialize;
use serde_json::Value;
use weir_plugin::{Diagnostics, Finding, Level, Object, Params};

/// What an app may say about the checks.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Config {
    /// How exactly an image must be named.
    pin: Pin,
    checks: Checks,
}

/// How exactly an image must be named.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Pin {
    /// A tag other than `latest`, or a digest.
    #[default]
    Tag,
    /// A digest.
    Digest,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
struct Checks {
    image_not_pinned: Weight,
    privileged: Weight,
    host_access: Weight,
    no_limits: Weight,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Weight {
    Error,
    Warning,
    Off,
}

impl Default for Checks {
    fn default() -> Self {
        Self {
            image_not_pinned: Weight::Error,
            privileged: Weight::Error,
            host_access: Weight::Error,
            no_limits: Weight::Warning,
        }
    }
}

/// The object that is looked at, and what was found so far.
struct Look<'a> {
    config: &'a Config,
    index: usize,
    object: &'a Object,
    found: Vec<Finding>,
}

const CONTAINERS: [&str; 3] = ["initContainers", "containers", "ephemeralContainers"];

weir_plugin::validator!(validate);

/// Looks at every object that holds a pod.
///
/// # Errors
/// `bad-config`.
pub fn validate(objects: &[Object], params: &Params) -> Result<Vec<Finding>, Diagnostics> {
    let config: Config = params.config()?;
    let mut found = Vec::new();
    for (index, object) in objects.iter().enumerate() {
        let Some(at) = pod_spec(object) else { continue };
        let mut look = Look {
            config: &config,
            index,
            object,
            found: Vec::new(),
        };
        look.pod(at);
        found.append(&mut look.found);
    }
    Ok(found)
}

/// Where an object of a built-in kind holds its pod's spec.
fn pod_spec(object: &Object) -> Option<&'static str> {
    match (object.group(), object.kind()) {
        ("", "Pod") => Some("/spec"),
        ("", "ReplicationController")
        | ("apps", "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet")
        | ("batch", "Job") => Some("/spec/template/spec"),
        ("batch", "CronJob") => Some("/spec/jobTemplate/spec/template/spec"),
        ("", "PodTemplate") => Some("/template/spec"),
        _ => None,
    }
}

impl Look<'_> {
    fn pod(&mut self, at: &str) {
        let object = self.object;
        let Some(spec) = object.pointer(at) else {
            return;
        };
        self.host(at, spec);
        for list in CONTAINERS {
            let Some(containers) = spec.get(list).and_then(Value::as_array) else {
                continue;
            };
            for (index, container) in containers.iter().enumerate() {
                self.container(&format!("{at}/{list}/{index}"), list, container);
            }
        }
    }

    fn host(&mut self, at: &str, spec: &Value) {
        let weight = self.config.checks.host_access;
        for field in ["hostNetwork", "hostPID", "hostIPC"] {
            if spec.get(field).is_some_and(|value| value == true) {
                let message =
                    format!("sets {field}: the pod shares it with the node; leave it out");
                self.say(weight, "host-access", format!("{at}/{field}"), &message);
            }
        }
        let volumes = spec
            .get("volumes")
            .and_then(Value::as_array)
            .into_iter()
            .flatten();
        for (index, volume) in volumes.enumerate() {
            if volume.get("hostPath").is_some_and(|path| !path.is_null()) {
                let message =
                    "mounts a path of the node; use a volume claim, or emptyDir for scratch space";
                self.say(
                    weight,
                    "host-access",
                    format!("{at}/volumes/{index}/hostPath"),
                    message,
                );
            }
        }
    }

    fn container(&mut self, at: &str, list: &str, container: &Value) {
        let name = container
            .get("name")
            .and_then(Value::as_str)
            .unwrap_or("(no name)");
        let checks = &self.config.checks;
        let (images, privileged, limits) =
            (checks.image_not_pinned, checks.privileged, checks.no_limits);
        if let Some(why) = not_pinned(container.get("image"), self.config.pin) {
            self.say(
                images,
                "image-not-pinned",
                format!("{at}/image"),
                &format!("container {name}: {why}"),
            );
        }
        for field in ["privileged", "allowPrivilegeEscalation"] {
            let pointer = format!("/securityContext/{field}");
            if container
                .pointer(&pointer)
                .is_some_and(|value| value == true)
            {
                let message = format!(
                    "container {name} sets {field}; leave it out or add single capabilities"
                );
                self.say(privileged, "privileged", format!("{at}{pointer}"), &message);
            }
        }
        // Kubernetes takes no resources for ephemeral containers.
        if list == "ephemeralContainers" {
            return;
        }
        for (part, resource) in [("limits", "memory"), ("requests", "cpu")] {
            let set = |part: &str| {
                container
                    .pointer(&format!("/resources/{part}/{resource}"))
                    .is_some_and(|v| !v.is_null())
            };
            // A limit without a request is the request, too.
            let is_said = set(part) || (part == "requests" && set("limits"));
            if !is_said {
                let message =
                    format!("container {name} has no resources.{part}.{resource}; set it");
                self.say(limits, "no-limits", at.to_string(), &message);
            }
        }
    }

    fn say(&mut self, weight: Weight, code: &str, pointer: String, message: &str) {
        let level = match weight {
            Weight::Error => Level::Error,
            Weight::Warning => Level::Warning,
            Weight::Off => return,
        };
        let message = format!("{}: {message}", self.object);
        self.found
            .push(Finding::about(self.index, level, code, message).at(pointer));
    }
}

/// Why an image is not named exactly enough.
fn not_pinned(image: Option<&Value>, pin: Pin) -> Option<String> {
    let Some(image) = image.and_then(Value::as_str) else {
        return Some("it has no image".into());
    };
    if image
        .split_once("@sha256:")
        .is_some_and(|(_, hex)| hex.len() == 64 && hex.bytes().all(|b| b.is_ascii_hexdigit()))
    {
        return None;
    }
    if pin == Pin::Digest {
        return Some(format!("image {image:?} has no digest; add @sha256:..."));
    }
    // A colon before the last slash belongs to a registry's port.
    let name = image.rsplit('/').next().unwrap_or(image);
    match name.split_once(':') {
        Some((name, tag)) if !tag.is_empty() && tag != "latest" && !name.contains('@') => None,
        Some(_) => Some(format!(
            "image {image:?} may change under its tag; name a version or a digest"
        )),
        None => Some(format!(
            "image {image:?} has no tag; name a version or a digest"
        )),
    }
}

#[cfg(test)]
mod tests;
