//! Why a request is denied: EC2's words, what it encodes behind them, and what helps.

use serde_json::Value;

use crate::ground::api_error::ApiError;

/// A kind of IAM policy (IAM user guide, "Access denied error message examples").
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PolicyKind {
    /// The answer names none.
    Unknown,
    /// Of the user, the role, or a group of the user.
    Identity,
    /// The permissions boundary of the user or role.
    Boundary,
    /// What was given when the role was assumed.
    Session,
    /// A service control policy of the organization.
    ServiceControl,
    /// A resource control policy of the organization.
    ResourceControl,
    /// Of the VPC endpoint that the request went through.
    Endpoint,
    /// Of the resource, such as a key.
    Resource,
}

/// How the answers name each kind.
const NAMES: [(&str, PolicyKind); 8] = [
    ("service control policy", PolicyKind::ServiceControl),
    ("resource control policy", PolicyKind::ResourceControl),
    ("permissions boundary", PolicyKind::Boundary),
    ("permission boundary", PolicyKind::Boundary),
    ("session policy", PolicyKind::Session),
    ("VPC endpoint policy", PolicyKind::Endpoint),
    ("resource-based policy", PolicyKind::Resource),
    ("identity-based policy", PolicyKind::Identity),
];

/// What statements that deny most often look at, for those whose conditions AWS does not tell.
const USUAL_CONDITIONS: &str = "such a policy may want tags on what is created (--tag KEY=VALUE), encrypted volumes \
                                (--encrypted), no public address (--public-address no) or other regions (--regions)";

/// How actions that only read begin.
const READING: [&str; 3] = ["Describe", "Get", "List"];

/// The same for what only reads.
const USUAL_CONDITIONS_OF_READING: &str = "such a policy may close regions: leave them out of --regions, or of the file \
                                           `regions`";

/// Why a request is denied.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reason {
    kind: PolicyKind,
    /// Whether a statement denies it, not only none allows it.
    explicit: bool,
    /// The name of the statement.
    statement: Option<String>,
    /// The keys that the statement looks at, each with its values.
    conditions: Vec<(String, Vec<String>)>,
}

impl Reason {
    /// The reason in EC2's words.
    pub fn of(denial: &ApiError) -> Reason {
        let words = denial.plain_message();
        let kind = NAMES.iter().find(|(name, _)| words.contains(name)).map_or(PolicyKind::Unknown, |(_, kind)| *kind);
        Reason { kind, explicit: words.contains("explicit deny"), statement: None, conditions: Vec::new() }
    }

    /// Adds what the decoded message tells (STS API reference, `DecodeAuthorizationMessage`). Anything else is ignored.
    pub fn add_decoded(&mut self, decoded: &str) {
        let Ok(decoded) = serde_json::from_str::<Value>(decoded) else { return };
        self.explicit |= decoded["explicitDeny"] == true;
        let denies =
            |statement: &&Value| statement["effect"].as_str().is_some_and(|effect| effect.eq_ignore_ascii_case("deny"));
        for statement in items(&decoded["matchedStatements"]).filter(denies) {
            let name = statement["statementId"].as_str().filter(|name| !name.is_empty());
            self.statement = self.statement.take().or_else(|| name.map(str::to_owned));
            for condition in items(&statement["conditions"]) {
                let values = items(&condition["values"]).filter_map(|value| value["value"].as_str());
                if let Some(key) = condition["key"].as_str() {
                    self.conditions.push((key.to_owned(), values.map(str::to_owned).collect()));
                }
            }
        }
    }

    /// Whether it is no more than that a permission was never given.
    pub fn is_missing_permission(&self) -> bool {
        !self.explicit && matches!(self.kind, PolicyKind::Unknown | PolicyKind::Identity)
    }

    /// What denies it, such as "a service control policy of the organization".
    pub fn what(&self) -> String {
        let kind = match self.kind {
            PolicyKind::Unknown => "a policy",
            PolicyKind::Identity => "a policy of this user or role",
            PolicyKind::Boundary => "the permissions boundary of this user or role",
            PolicyKind::Session => "the session policy of these credentials",
            PolicyKind::ServiceControl => "a service control policy of the organization",
            PolicyKind::ResourceControl => "a resource control policy of the organization",
            PolicyKind::Endpoint => "the policy of the VPC endpoint",
            PolicyKind::Resource => "the policy of the resource",
        };
        let statement = self.statement.as_ref().map(|name| format!("statement `{name}`"));
        let conditions = self.conditions.iter().map(|(key, values)| match values.as_slice() {
            [] => format!("looks at {key}"),
            values => format!("looks at {key} ({})", values.join(", ")),
        });
        let details: Vec<String> = statement.into_iter().chain(conditions).collect();
        if details.is_empty() { kind.to_owned() } else { format!("{kind} ({})", details.join("; ")) }
    }

    /// What to type, change or ask for, so that these are not denied.
    pub fn remedy(&self, denials: &[&ApiError]) -> String {
        let overrules = "no policy of this account overrules it";
        let by_kind = match (self.kind, self.explicit) {
            (PolicyKind::Unknown | PolicyKind::Identity, false) => {
                "attach the policy that `cargo xtask ami iam-policy` prints to this user or role".to_owned()
            }
            (PolicyKind::Unknown, true) => {
                "find the Deny statement in the policies of this user or role, or of the organization; no Allow overrules it"
                    .to_owned()
            }
            (PolicyKind::Identity, true) => {
                "remove the Deny statement from the policies of this user or role, or of its groups; no Allow overrules it"
                    .to_owned()
            }
            (PolicyKind::ServiceControl | PolicyKind::ResourceControl, _) => {
                format!("ask the administrators of the organization for an exception; {overrules}")
            }
            (PolicyKind::Boundary, _) => {
                format!("ask whoever set the permissions boundary to allow it there; {overrules}")
            }
            (PolicyKind::Session, _) => {
                "use credentials with a wider session policy, which is given when a role is assumed".to_owned()
            }
            (PolicyKind::Endpoint, _) => {
                "allow it in the policy of the VPC endpoint that this computer uses, or run this elsewhere".to_owned()
            }
            (PolicyKind::Resource, _) => "allow it in the policy of the resource that the answer names".to_owned(),
        };
        let is_not_for_all = matches!(self.kind, PolicyKind::Session | PolicyKind::Endpoint | PolicyKind::Resource);
        match self.conditions.iter().find_map(|(key, _)| way_to_satisfy(key)) {
            Some(way) => format!("{way}; otherwise {by_kind}"),
            None if self.explicit && self.conditions.is_empty() && !is_not_for_all => {
                let reads = |denial: &&ApiError| READING.iter().any(|verb| denial.action.starts_with(verb));
                let usual = if denials.iter().all(reads) { USUAL_CONDITIONS_OF_READING } else { USUAL_CONDITIONS };
                format!("{usual}; otherwise {by_kind}")
            }
            None => by_kind,
        }
    }
}

/// What to set so that a condition on this key is satisfied.
fn way_to_satisfy(key: &str) -> Option<String> {
    // The keys of IAM are not case-sensitive (IAM user guide, "IAM JSON policy elements: Condition").
    let key = key.to_ascii_lowercase();
    if let Some(tag) = key.strip_prefix("aws:requesttag/") {
        return Some(format!(
            "set the tag `{tag}`, with the value that the policy wants, in [tags] of .release/ami/ami.toml"
        ));
    }
    let way = match key.as_str() {
        "aws:tagkeys" => "set the tags that the policy wants in [tags] of .release/ami/ami.toml",
        "aws:requestedregion" => "leave these regions out of --regions, or of the file `regions`",
        "ec2:associatepublicipaddress" => "set public_address = \"no\" in [instance] of .release/ami/ami.toml",
        "ec2:encrypted" => "set encrypted = true in [instance] of .release/ami/ami.toml, for a private image",
        "ec2:volumetype" => "set another volume_type in [instance] of .release/ami/ami.toml",
        "ec2:instancetype" => "give another --instance-type",
        "ec2:subnet" | "ec2:subnetid" | "ec2:vpc" | "ec2:vpcid" => "give a --subnet that the policy permits",
        "ec2:owner" | "ec2:imageid" => "give a --base-image that the policy permits",
        "aws:sourceip" | "aws:sourcevpc" | "aws:sourcevpce" | "aws:vpcsourceip" => {
            "run this from a network that the policy permits"
        }
        "aws:multifactorauthpresent" | "aws:multifactorauthage" => "log in again, with MFA",
        _ => return None,
    };
    Some(way.to_owned())
}

/// The items of a list as STS encodes it, `{"items": […]}`.
fn items(list: &Value) -> impl Iterator<Item = &Value> {
    list["items"].as_array().into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn denial(message: &str) -> ApiError {
        ApiError {
            action: "RunInstances".to_owned(),
            region: "us-west-2".to_owned(),
            code: Some("UnauthorizedOperation".to_owned()),
            message: message.to_owned(),
            transient: false,
        }
    }

    #[test]
    fn each_kind_of_policy_has_the_remedy_that_helps() {
        let who = "You are not authorized to perform this operation. User: arn:aws:iam::111122223333:user/me is not \
                   authorized to perform: ec2:RunInstances on resource: arn:aws:ec2:us-west-2:111122223333:instance/*";
        for (why, what, remedy) in [
            ("", "a policy", "iam-policy"),
            (" because no identity-based policy allows the ec2:RunInstances action", "this user or role", "iam-policy"),
            (" with an explicit deny in an identity-based policy", "this user or role", "remove the Deny statement"),
            (" with an explicit deny in a service control policy", "service control", "tags on what is created"),
            (
                " because no service control policy allows the ec2:RunInstances action",
                "service control",
                "administrators",
            ),
            (" with an explicit deny in a resource control policy", "resource control", "administrators"),
            (" with an explicit deny in a permissions boundary", "permissions boundary", "permissions boundary"),
            (" because no permissions boundary allows the ec2:RunInstances action", "boundary", "boundary"),
            (" because no session policy allows the ec2:RunInstances action", "session policy", "session policy"),
            (" with an explicit deny in a VPC endpoint policy", "VPC endpoint", "VPC endpoint"),
            (" with an explicit deny in a resource-based policy", "the resource", "policy of the resource"),
            (" with an explicit deny", "a policy", "find the Deny statement"),
        ] {
            let denial = denial(&format!("{who}{why}. Encoded authorization failure message: 4GIOH"));
            let (reason, reading) =
                (Reason::of(&denial), ApiError { action: "DescribeImages".to_owned(), ..denial.clone() });
            assert!(reason.what().contains(what), "{why}: {}", reason.what());
            assert!(reason.remedy(&[&denial, &reading]).contains(remedy), "{why}: {}", reason.remedy(&[&denial]));
            assert!(!reason.remedy(&[&reading]).contains("tags on what is created"), "{why}");
            assert_eq!(reason.is_missing_permission(), remedy == "iam-policy", "{why}");
        }
    }

    #[test]
    fn a_condition_comes_with_the_setting_that_satisfies_it() {
        for (key, value, setting) in [
            ("aws:RequestTag/team", "true", "set the tag `team`"),
            ("aws:RequestedRegion", "eu-west-1", "leave these regions out"),
            ("ec2:AssociatePublicIpAddress", "true", "public_address = \"no\""),
            ("ec2:Encrypted", "false", "encrypted = true"),
            ("ec2:VolumeType", "gp3", "volume_type"),
            ("ec2:InstanceType", "m5.large", "--instance-type"),
            ("aws:SourceIp", "203.0.113.0/24", "from a network"),
        ] {
            let denial = denial("denied with an explicit deny in a service control policy");
            let mut reason = Reason::of(&denial);
            let condition = serde_json::json!({ "key": key, "values": { "items": [{ "value": value }] } });
            let statement = serde_json::json!({
                "statementId": "OnlyOurs", "effect": "DENY", "conditions": { "items": [condition] },
            });
            reason.add_decoded(
                &serde_json::json!({ "explicitDeny": true, "matchedStatements": { "items": [statement] } }).to_string(),
            );
            let what = format!("organization (statement `OnlyOurs`; looks at {key} ({value}))");
            assert!(reason.what().ends_with(&what), "{}", reason.what());
            let remedy = reason.remedy(&[&denial]);
            assert!(remedy.contains(setting) && remedy.contains("administrators"), "{remedy}");
        }
    }

    #[test]
    fn what_is_no_decoded_message_changes_nothing() {
        let reason = Reason::of(&denial("no"));
        for text in ["", "{", "[]", "null", "{\"matchedStatements\":7}", "{\"matchedStatements\":{\"items\":[1,{}]}}"] {
            let mut with = reason.clone();
            with.add_decoded(text);
            assert_eq!(with, reason, "{text}");
        }
    }
}
