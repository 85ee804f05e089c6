//! The service account that a target's requests run as, where it names one: how it is impersonated, that it is there
//! before anything is written, and what it lacks where it may not do something.
//!
//! There is no way from here to the host's own account: what the named one may not do is not done.

use std::fmt;
use std::str::FromStr;

use k8s_openapi::api::core::v1::ServiceAccount;
use kube::{Api, Config};
use weir_core::fault::{Blame, Fault, Retry};
use weir_core::name::Namespace;

use super::KubeTarget;
use super::error::{KubeError, is_missing};

/// The longest name of a service account, in bytes: a DNS subdomain (RFC 1123).
const MAX_NAME: usize = 253;

/// What is wrong with the service account that a target runs as.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AccountError {
    /// A role is missing.
    #[error(
        "service account {account} may not do this: {message}. {missing}, or leave the object out"
    )]
    Forbidden {
        /// The account.
        account: String,
        /// What the server said.
        message: String,
        /// The role that it needs.
        missing: String,
    },
    /// This host may not run as it.
    #[error(
        "this host may not run as service account {account}, and does nothing in its place: {message}. Give the host's own account the right to impersonate that one (docs/tenancy.md has the role)"
    )]
    MayNotImpersonate {
        /// The account.
        account: String,
        /// What the server said.
        message: String,
    },
    /// It is not there.
    #[error(
        "service account {account}, as which the target {place} runs, is not there, so nothing is read or written: create it, or name another one"
    )]
    Missing {
        /// The account.
        account: String,
        /// The target as it was given.
        place: String,
    },
}

impl AccountError {
    /// Whether it is about all that is asked of a target, and not about one object.
    pub(super) fn is_of_all(&self) -> bool {
        !matches!(self, AccountError::Forbidden { .. })
    }
}

impl Blame for AccountError {
    fn fault(&self) -> Fault {
        match self {
            AccountError::Forbidden { .. } => Fault::Target,
            AccountError::MayNotImpersonate { .. } | AccountError::Missing { .. } => Fault::Host,
        }
    }
    fn retry(&self) -> Retry {
        // Put right in the cluster, which tells nobody.
        Retry::Backoff
    }
}

/// A service account of a target's cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    namespace: Namespace,
    name: String,
}

impl FromStr for Account {
    type Err = String;
    fn from_str(s: &str) -> Result<Self, String> {
        let parsed = s.split_once('/').and_then(|(namespace, name)| {
            let namespace = namespace.parse().ok()?;
            let name = name.to_owned();
            is_name(&name).then_some(Account { namespace, name })
        });
        parsed.ok_or_else(|| {
            let shown: String = s.chars().take(80).collect();
            format!(
                "{shown:?}: expected a service account as NAMESPACE/NAME, such as shop/deployer"
            )
        })
    }
}

/// A DNS subdomain.
fn is_name(name: &str) -> bool {
    let legal = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let is_part = |part: &str| {
        !part.is_empty()
            && part.bytes().all(legal)
            && !part.starts_with('-')
            && !part.ends_with('-')
    };
    name.len() <= MAX_NAME && name.split('.').all(is_part)
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

impl Account {
    /// The API server's name for it.
    fn user(&self) -> String {
        format!("system:serviceaccount:{}:{}", self.namespace, self.name)
    }

    /// Has requests of this client run as it.
    pub(super) fn impersonate(&self, config: &mut Config, place: &str) -> Result<(), KubeError> {
        let auth = &mut config.auth_info;
        let already = auth.impersonate.is_some()
            || auth.impersonate_uid.is_some()
            || auth.impersonate_groups.is_some()
            || auth.impersonate_user_extra.is_some();
        if already {
            return Err(KubeError::Config(format!(
                "{place}: its kubeconfig already says as whom requests run (`as`), and the target names service account {self}: leave one of the two out"
            )));
        }
        // A service account's groups are known from its name: the API server adds them. Whoever names groups needs
        // the right to impersonate groups, which is far more than one account.
        auth.impersonate = Some(self.user());
        Ok(())
    }

    /// What was forbidden, with who lacks which role for it.
    pub(super) fn explained(&self, error: KubeError) -> KubeError {
        let KubeError::Forbidden { message } = error else {
            return error;
        };
        let account = self.to_string();
        if message.contains("\" cannot impersonate") {
            return AccountError::MayNotImpersonate { account, message }.into();
        }
        if message.contains(&format!("\"{}\"", self.user())) {
            let missing = missing(&message);
            let error = AccountError::Forbidden {
                account,
                message,
                missing,
            };
            return error.into();
        }
        KubeError::Forbidden { message }
    }
}

/// The role that helps, read from what the server says: `User "U" cannot VERB resource "R" in API group "G" in the
/// namespace "N"`.
fn missing(said: &str) -> String {
    let parts = || {
        let (_, rest) = said.split_once("\" cannot ")?;
        let (verb, rest) = rest.split_once(" resource \"")?;
        let (resource, rest) = rest.split_once("\" in API group \"")?;
        let (group, rest) = rest.split_once('"')?;
        let namespace = rest.strip_prefix(" in the namespace \"");
        let namespace = namespace.and_then(|rest| rest.split_once('"'));
        Some((verb, resource, group, namespace.map(|(name, _)| name)))
    };
    let Some((verb, resource, group, namespace)) = parts() else {
        return "Bind it a role that allows it".to_owned();
    };
    let role = match namespace {
        Some(namespace) => format!("a Role in namespace {namespace}"),
        None => "a ClusterRole, by a ClusterRoleBinding,".to_owned(),
    };
    format!("Bind it {role} with apiGroups [{group:?}], resources [{resource}], verbs [{verb}]")
}

impl KubeTarget {
    /// Whether the account that requests run as is there. The API server runs requests as one that is not, with the
    /// rights of bindings that were left behind.
    ///
    /// # Errors
    /// When it is not there, is going, or cannot be asked for.
    pub(crate) async fn has_account(&self) -> Result<(), KubeError> {
        let Some(account) = &self.account else {
            return Ok(());
        };
        let api: Api<ServiceAccount> =
            Api::namespaced(self.own.clone(), account.namespace.as_str());
        let get = || async {
            match api.get_metadata(&account.name).await {
                Err(kube::Error::Api(status)) if is_missing(&status) => Ok(None),
                answer => answer.map(Some),
            }
        };
        let found = self.request(false, get).await?;
        if found.is_some_and(|found| found.metadata.deletion_timestamp.is_none()) {
            return Ok(());
        }
        let missing = AccountError::Missing {
            account: account.to_string(),
            place: self.place.clone(),
        };
        Err(missing.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account() -> Account {
        "shop/deployer".parse().unwrap()
    }

    fn forbidden(message: &str) -> KubeError {
        let message = message.to_owned();
        account().explained(KubeError::Forbidden { message })
    }

    #[test]
    fn an_account_is_a_namespace_and_a_name_and_nothing_else_is_one() {
        assert_eq!(account().to_string(), "shop/deployer");
        assert_eq!(account().user(), "system:serviceaccount:shop:deployer");
        assert!("shop/my.deployer-1".parse::<Account>().is_ok());
        let long = format!("shop/{}", "a".repeat(254));
        for bad in [
            "",
            "/",
            "shop",
            "shop/",
            "/deployer",
            "shop/a/b",
            "Shop/deployer",
            "shop/Deployer",
            "shop/-a",
            "shop/a-",
            "shop/a..b",
            "shop/.a",
            "shop.eu/a",
            "shop/*",
            "*/a",
            "system:serviceaccount:shop:deployer",
            "shop/a:b",
            "shop/a b",
            "shop/a\nb",
            "shop /a",
            &long,
        ] {
            let error = bad.parse::<Account>().unwrap_err();
            assert!(
                error.contains("NAMESPACE/NAME, such as shop/deployer"),
                "{bad:?}: {error}"
            );
            assert!(error.len() < 250, "{error}");
        }
    }

    #[test]
    fn only_the_user_is_impersonated_and_a_kubeconfig_that_does_so_itself_is_refused() {
        let new = || Config::new("https://c.example:1".parse().unwrap());
        let mut config = new();
        account().impersonate(&mut config, "kube:").unwrap();
        let auth = &config.auth_info;
        assert_eq!(
            auth.impersonate.as_deref(),
            Some("system:serviceaccount:shop:deployer")
        );
        assert_eq!(
            (&auth.impersonate_groups, &auth.impersonate_uid),
            (&None, &None)
        );
        let mut named = new();
        named.auth_info.impersonate = Some("ann".to_owned());
        let mut grouped = new();
        grouped.auth_info.impersonate_groups = Some(vec!["system:masters".to_owned()]);
        for mut config in [named, grouped] {
            let error = account().impersonate(&mut config, "kube:eu").unwrap_err();
            let text = error.to_string();
            assert!(
                text.starts_with("kube:eu: its kubeconfig already says"),
                "{text}"
            );
        }
    }

    #[test]
    fn what_the_account_may_not_do_names_it_and_the_role_that_is_missing() {
        let said = "secrets \"db\" is forbidden: User \"system:serviceaccount:shop:deployer\" cannot patch resource \"secrets\" in API group \"\" in the namespace \"shop\"";
        assert_eq!(
            forbidden(said).to_string(),
            format!(
                "service account shop/deployer may not do this: {said}. Bind it a Role in namespace shop with apiGroups [\"\"], resources [secrets], verbs [patch], or leave the object out"
            )
        );
        let said = "namespaces \"shop\" is forbidden: User \"system:serviceaccount:shop:deployer\" cannot get resource \"namespaces\" in API group \"\" at the cluster scope";
        let text = forbidden(said).to_string();
        assert!(
            text.contains("Bind it a ClusterRole, by a ClusterRoleBinding, with apiGroups [\"\"], resources [namespaces], verbs [get], or"),
            "{text}"
        );
        let grants = "roles.rbac.authorization.k8s.io \"r\" is forbidden: user \"system:serviceaccount:shop:deployer\" (groups=[]) is attempting to grant RBAC permissions not currently held";
        let text = forbidden(grants).to_string();
        assert!(text.contains("Bind it a role that allows it, or"), "{text}");
    }

    #[test]
    fn what_the_host_itself_may_not_do_is_not_said_of_the_account() {
        let impersonate = "serviceaccounts \"deployer\" is forbidden: User \"weir\" cannot impersonate resource \"serviceaccounts\" in API group \"\" in the namespace \"shop\"";
        assert!(matches!(
            forbidden(impersonate),
            KubeError::Account(AccountError::MayNotImpersonate { .. })
        ));
        for other in [
            "serviceaccounts \"deployer\" is forbidden: User \"weir\" cannot get resource \"serviceaccounts\" in API group \"\" in the namespace \"shop\"",
            "User \"system:serviceaccount:shop:deployer2\" cannot get resource \"x\"",
            "",
        ] {
            assert!(
                matches!(forbidden(other), KubeError::Forbidden { .. }),
                "{other}"
            );
        }
        let other = KubeError::Other {
            code: 418,
            message: "\"system:serviceaccount:shop:deployer\"".to_owned(),
        };
        assert_eq!(account().explained(other.clone()), other);
    }
}
