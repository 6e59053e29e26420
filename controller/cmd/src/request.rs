//! What the program is asked for.
use std::ffi::OsString;

use clap::{CommandFactory, FromArgMatches, Parser};
use saved_template_api::ids::Region;
use saved_template_controller::args::{Args, cluster_name, region};
use saved_template_ec2::iam::{self, Bounds, Guard};
use serde_json::Value;

/// What the program is asked for: the controller, unless a subcommand is named.
#[derive(Debug, Clone)]
pub(crate) enum Request {
    /// Run the controller.
    Run(Box<Args>),
    /// Print the IAM policy.
    IamPolicy(IamPolicy),
}

impl Request {
    /// Reads a command line whose first word is the program.
    pub(crate) fn parse_from(line: impl IntoIterator<Item = OsString>) -> Result<Self, clap::Error> {
        let policy = IamPolicy::command();
        let name = policy.get_name().to_owned();
        let command = Args::command().subcommand(policy).subcommand_negates_reqs(true);
        let matches = command.try_get_matches_from(line)?;
        match matches.subcommand_matches(&name) {
            Some(matches) => IamPolicy::from_arg_matches(matches).map(Self::IamPolicy),
            None => Args::from_arg_matches(&matches).map(|args| Self::Run(Box::new(args))),
        }
    }
}

/// Prints the IAM policy that the controller's role needs, as JSON: it may stop and save machines that are tagged
/// savedtemplate.dev/allow=true, and change images of this cluster.
#[derive(Debug, Clone, PartialEq, Eq, Parser)]
#[command(name = "iam-policy")]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own on the command line")]
pub(crate) struct IamPolicy {
    /// Name that owns the images, as the controller is given it.
    #[arg(long, env = "SAVEDTEMPLATE_CLUSTER_NAME", value_parser = cluster_name)]
    pub(crate) cluster_name: String,

    /// Account of the machines, and of the images that are copied: twelve digits.
    #[arg(long, value_parser = account, required_unless_present_any = ["unrestricted", "copy_source_by_tag", "guard"])]
    pub(crate) account: Option<String>,

    /// Regions of the machines and of the copies (comma-separated): elsewhere nothing is allowed. Default: every region.
    #[arg(long, value_delimiter = ',', value_parser = region)]
    pub(crate) regions: Vec<Region>,

    /// ARN of a key that encrypts volumes of machines or copies. May be repeated; without it no key may be used.
    #[arg(long = "kms-key", value_name = "ARN", value_parser = key_arn)]
    pub(crate) keys: Vec<String>,

    /// Copy only images that have the tag of this cluster. AWS does not document that it knows tags there: if it does
    /// not, every copy is refused.
    #[arg(long)]
    pub(crate) copy_source_by_tag: bool,

    /// Every machine and image that the account has.
    #[arg(long, conflicts_with_all = ["account", "copy_source_by_tag"])]
    pub(crate) unrestricted: bool,

    /// Print the service control policy instead that keeps everybody else from writing the controller's tags.
    #[arg(long, requires = "roles", conflicts_with_all = ["account", "regions", "keys", "copy_source_by_tag", "unrestricted"])]
    pub(crate) guard: bool,

    /// ARN of a role that the guard exempts: the controller's. May be repeated and have wildcards.
    #[arg(long = "role-arn", id = "roles", value_name = "ARN", conflicts_with_all = ["account", "copy_source_by_tag", "unrestricted"], value_parser = role_arn)]
    pub(crate) roles: Vec<String>,

    /// Guard the tag Name of machines too: who renames one chooses what `instanceName` saves.
    #[arg(long, conflicts_with_all = ["account", "copy_source_by_tag", "unrestricted"])]
    pub(crate) guard_names: bool,
}

impl IamPolicy {
    /// The document that is asked for.
    pub(crate) fn document(&self) -> Value {
        let Self { cluster_name, account, regions, keys, copy_source_by_tag, .. } = self.clone();
        let bounds = Bounds { account, regions, keys, copy_source_by_tag };
        if self.guard {
            iam::guard(&cluster_name, &Guard { roles: self.roles.clone(), names: self.guard_names })
        } else if self.unrestricted {
            iam::unrestricted(&bounds)
        } else {
            iam::policy(&cluster_name, &bounds)
        }
    }
}

fn account(text: &str) -> Result<String, String> {
    let good = text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit());
    if good { Ok(text.to_owned()) } else { Err("the twelve digits of an AWS account".to_owned()) }
}

fn key_arn(text: &str) -> Result<String, String> {
    arn(text, "kms", "key/").ok_or_else(|| {
        "the ARN of a key, for instance arn:aws:kms:eu-west-1:123456789012:key/…: a policy knows no alias"
            .to_owned()
    })
}

fn role_arn(text: &str) -> Result<String, String> {
    arn(text, "iam", "role/").ok_or_else(|| {
        "the ARN of a role, for instance arn:aws:iam::123456789012:role/savedtemplate".to_owned()
    })
}

/// The text, if it is the ARN of such a resource.
fn arn(text: &str, service: &str, resource: &str) -> Option<String> {
    let parts: Vec<&str> = text.splitn(6, ':').collect();
    let [head, _, named, _, _, path] = parts.as_slice() else { return None };
    let good = *head == "arn" && *named == service && path.starts_with(resource) && !text.contains("${");
    good.then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Request, clap::Error> {
        Request::parse_from(line.split(' ').map(OsString::from))
    }

    #[test]
    fn without_a_subcommand_the_controller_runs() {
        let request = parse("controller --cluster-name lab --regions us-west-2,eu-west-1").unwrap();
        let Request::Run(args) = request else { panic!("{request:?}") };
        assert_eq!((args.cluster_name.as_str(), args.regions.len(), args.concurrency), ("lab", 2, 32));
    }

    fn policy(line: &str) -> Result<IamPolicy, clap::Error> {
        match parse(format!("controller iam-policy --cluster-name lab {line}").trim_end())? {
            Request::IamPolicy(asked) => Ok(asked),
            Request::Run(args) => panic!("{args:?}"),
        }
    }

    const ROLE: &str = "arn:aws:iam::123456789012:role/savedtemplate";
    const KEY: &str = "arn:aws:kms:eu-west-1:123456789012:key/mrk-1";

    #[test]
    fn the_policy_is_bound_unless_it_is_asked_to_be_unrestricted() {
        let account = || Some("123456789012".to_owned());
        let bounds = Bounds { account: account(), ..Bounds::default() };
        assert_eq!(policy("--account 123456789012").unwrap().document(), iam::policy("lab", &bounds));
        let bounds = Bounds {
            account: account(),
            regions: ["us-west-2", "eu-west-1"].map(|name| Region::parse(name).unwrap()).to_vec(),
            keys: vec![KEY.into(), KEY.into()],
            copy_source_by_tag: true,
        };
        let line = format!(
            "--account 123456789012 --regions us-west-2,eu-west-1 --kms-key {KEY} --kms-key {KEY} --copy-source-by-tag"
        );
        assert_eq!(policy(&line).unwrap().document(), iam::policy("lab", &bounds));
        let bounds = Bounds { keys: vec![KEY.into()], ..Bounds::default() };
        let line = format!("--unrestricted --kms-key {KEY}");
        assert_eq!(policy(&line).unwrap().document(), iam::unrestricted(&bounds));
    }

    #[test]
    fn the_guard_exempts_the_roles_that_are_named() {
        for (more, names) in [("", false), (" --guard-names", true)] {
            let asked = policy(&format!("--guard --role-arn {ROLE} --role-arn {ROLE}{more}")).unwrap();
            let guard = Guard { roles: vec![ROLE.into(), ROLE.into()], names };
            assert_eq!(asked.document(), iam::guard("lab", &guard));
        }
    }

    #[test]
    fn a_policy_that_would_not_do_what_is_meant_is_not_printed() {
        use clap::error::ErrorKind::{ArgumentConflict, MissingRequiredArgument, ValueValidation};
        for (line, kind) in [
            ("", MissingRequiredArgument),
            ("--guard", MissingRequiredArgument),
            (&format!("--account 123456789012 --role-arn {ROLE}"), ArgumentConflict),
            (&format!("--role-arn {ROLE}"), MissingRequiredArgument),
            ("--account 123456789012 --guard-names", ArgumentConflict),
            ("--unrestricted --account 123456789012", ArgumentConflict),
            (&format!("--guard --role-arn {ROLE} --regions us-west-2"), ArgumentConflict),
            ("--account 12345678901", ValueValidation),
            ("--account 123456789012 --kms-key alias/mine", ValueValidation),
            (
                "--account 123456789012 --kms-key arn:aws:kms:eu-west-1:123456789012:alias/mine",
                ValueValidation,
            ),
            ("--account 123456789012 --regions mars", ValueValidation),
            ("--guard --role-arn savedtemplate", ValueValidation),
        ] {
            assert_eq!(policy(line).unwrap_err().kind(), kind, "{line}");
        }
    }

    #[test]
    fn a_cluster_name_is_a_dns_label_wherever_it_is_given() {
        for line in ["controller --cluster-name Lab", "controller iam-policy --cluster-name la_b"] {
            assert_eq!(parse(line).unwrap_err().kind(), clap::error::ErrorKind::ValueValidation, "{line}");
        }
        assert!(parse("controller --unrestricted --cluster-name lab").is_err());
    }
}
