//! What happened: an event in parts that cannot hold a secret by accident. Texts are
//! names and reasons, cut at a limit; there is no part for bytes.

use super::json::{self, Members};
use super::line::Millis;
use crate::clock::Timestamp;
use crate::error::Error;
use crate::types::Home;
use std::time::SystemTime;

/// A name or a reason, cut at [`Text::MAX_LEN`] bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text(String);

impl Text {
    /// The longest text, in bytes.
    pub const MAX_LEN: usize = 256;

    /// `text`; of a longer one the beginning.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(cut(text, Self::MAX_LEN).to_owned())
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

fn cut(text: &str, most: usize) -> &str {
    let end = (0..=text.len().min(most)).rev().find(|end| text.is_char_boundary(*end));
    &text[..end.unwrap_or_default()]
}

/// A policy that is being stored, as it was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document(String);

impl Document {
    /// The longest policy, in bytes.
    pub const MAX_LEN: usize = 32_768;

    /// `text`; of a longer one, which is none, the beginning.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(cut(text, Self::MAX_LEN).to_owned())
    }
}

/// The value of a parameter or of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Yes or no.
    Flag(bool),
    /// A number.
    Number(u64),
    /// A name.
    Text(Text),
    /// A policy that is being stored.
    Document(Document),
    /// A moment, written with seconds.
    Time(SystemTime),
    /// Several.
    List(Vec<Value>),
    /// Named ones.
    Members(Vec<(&'static str, Value)>),
}

impl Value {
    fn write(&self, out: &mut String) {
        match self {
            Self::Flag(flag) => json::shown(out, flag),
            Self::Number(number) => json::shown(out, number),
            Self::Text(Text(text)) | Self::Document(Document(text)) => json::text(out, text),
            Self::Time(time) => json::text(out, &seconds(*time)),
            Self::List(values) => json::list(out, values, |out, value| value.write(out)),
            Self::Members(named) => Members::write(out, |members| put(members, named)),
        }
    }
}

impl From<bool> for Value {
    fn from(flag: bool) -> Self {
        Self::Flag(flag)
    }
}

impl From<u64> for Value {
    fn from(number: u64) -> Self {
        Self::Number(number)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(Text::new(text))
    }
}

/// A time as the trail has it: with seconds, as in CloudTrail.
fn seconds(time: SystemTime) -> String {
    let mut text = Timestamp(time).to_string();
    // The milliseconds: ".789Z".
    text.truncate(text.len().saturating_sub(5));
    text.push('Z');
    text
}

fn put(members: &mut Members<'_>, named: &[(&'static str, Value)]) {
    for (name, value) in named {
        members.value(name, |out| value.write(out));
    }
}

/// Who did it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    /// The token's owner: the root of its account.
    Root,
    /// A named user, and the access key that signed the request, if one did.
    User {
        /// The name.
        name: Text,
        /// The id that tells the user from another of this name: `AIDA…`.
        unique_id: Text,
        /// The access key's id.
        access_key: Option<Text>,
    },
    /// Somebody who has taken a role.
    Role {
        /// The role's name.
        role: Text,
        /// The id that tells the role from another of this name: `AROA…`.
        unique_id: Text,
        /// The session's name.
        session: Text,
        /// The access key's id.
        access_key: Option<Text>,
    },
    /// A principal of another account, by its ARN.
    Foreign {
        /// The account, 12 digits.
        account: Text,
        /// The principal's ARN.
        arn: Text,
    },
    /// The security officer.
    SecurityOfficer,
    /// Nobody has logged in.
    Public,
    /// The token itself.
    Service,
}

impl Identity {
    fn write(&self, out: &mut String, account: &str) {
        Members::write(out, |members| match self {
            Self::Root => {
                let arn = format!("arn:aws:iam::{account}:root");
                members.text("type", "Root").text("principalId", account).text("arn", &arn);
                members.text("accountId", account);
            }
            Self::User { name: Text(name), unique_id: Text(id), access_key } => {
                let arn = format!("arn:aws:iam::{account}:user/{name}");
                members.text("type", "IAMUser").text("principalId", id).text("arn", &arn);
                members.text("accountId", account);
                put_access_key(members, access_key.as_ref());
                members.text("userName", name);
            }
            Self::Role {
                role: Text(role),
                unique_id: Text(id),
                session: Text(session),
                access_key,
            } => {
                let arn = format!("arn:aws:sts::{account}:assumed-role/{role}/{session}");
                let principal = format!("{id}:{session}");
                members.text("type", "AssumedRole").text("principalId", &principal);
                members.text("arn", &arn).text("accountId", account);
                put_access_key(members, access_key.as_ref());
                members.object("sessionContext", |context| {
                    context.object("sessionIssuer", |issuer| {
                        let arn = format!("arn:aws:iam::{account}:role/{role}");
                        issuer.text("type", "Role").text("principalId", id).text("arn", &arn);
                        issuer.text("accountId", account).text("userName", role);
                    });
                });
            }
            Self::Foreign { account: Text(account), arn: Text(arn) } => {
                members.text("type", "AWSAccount").text("principalId", arn).text("arn", arn);
                members.text("accountId", account);
            }
            Self::SecurityOfficer => {
                members.text("type", "SecurityOfficer").text("principalId", "so");
                members.text("accountId", account);
            }
            Self::Public => {
                members.text("type", "Public").text("principalId", "public");
                members.text("accountId", account);
            }
            Self::Service => {
                members.text("accountId", account).text("invokedBy", "AWS Internal");
            }
        });
    }
}

fn put_access_key(members: &mut Members<'_>, access_key: Option<&Text>) {
    if let Some(Text(id)) = access_key {
        members.text("accessKeyId", id);
    }
}

/// What it was done to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resource {
    /// A secret key, by its unique id.
    Key(Text),
    /// Another object, by its unique id.
    Object(Text),
    /// Another name of a key, `alias/…`.
    Alias(Text),
}

impl Resource {
    fn write(&self, out: &mut String, scope: &Scope) {
        let Scope { account, region, .. } = scope;
        let (kind, place, name) = match self {
            Self::Key(Text(id)) => ("AWS::KMS::Key", "key/", id),
            Self::Object(Text(id)) => ("Signet::Object", "object/", id),
            // Its name begins with `alias/`.
            Self::Alias(Text(name)) => ("AWS::KMS::Alias", "", name),
        };
        Members::write(out, |members| {
            members.text("accountId", account).text("type", kind);
            members.text("ARN", &format!("arn:aws:kms:{region}:{account}:{place}{name}"));
        });
    }
}

/// Where the trail is: which token, account and region.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    /// The token's serial number, 16 hexadecimal digits.
    pub serial: String,
    /// The account, 12 digits.
    pub account: String,
    /// The region.
    pub region: String,
}

impl Scope {
    /// A token of this serial number in this account and region.
    #[must_use]
    pub fn of(serial: &str, home: Home) -> Self {
        let (account, region) = (home.account.to_string(), home.region.to_string());
        Self { serial: serial.to_owned(), account, region }
    }
}

/// From where a request came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The address of the client.
    pub address: Text,
    /// What the client calls itself.
    pub agent: Text,
}

/// One call, successful or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    action: &'static str,
    identity: Identity,
    origin: Option<Origin>,
    read_only: bool,
    is_service: bool,
    error: Option<(Text, Text)>,
    parameters: Vec<(&'static str, Value)>,
    response: Vec<(&'static str, Value)>,
    additional: Vec<(&'static str, Value)>,
    resources: Vec<Resource>,
    request: Option<Text>,
}

impl Event {
    /// `action` as it is named in a policy, `kms:CreateKey`: the event's name is what
    /// stands behind the colon.
    #[must_use]
    pub const fn new(action: &'static str, identity: Identity) -> Self {
        Self {
            action,
            identity,
            origin: None,
            read_only: false,
            is_service: false,
            error: None,
            parameters: Vec::new(),
            response: Vec::new(),
            additional: Vec::new(),
            resources: Vec::new(),
            request: None,
        }
    }

    /// What the token did by itself.
    #[must_use]
    pub fn of_service(action: &'static str) -> Self {
        Self { is_service: true, ..Self::new(action, Identity::Service) }
    }

    /// It changed nothing and was not meant to.
    #[must_use]
    pub fn read_only(self) -> Self {
        Self { read_only: true, ..self }
    }

    /// A request from elsewhere; otherwise it came from a program on this machine.
    #[must_use]
    pub fn from(self, origin: Origin, request: Text) -> Self {
        Self { origin: Some(origin), request: Some(request), ..self }
    }

    /// What it was done to.
    #[must_use]
    pub fn on(mut self, resource: Resource) -> Self {
        self.resources.push(resource);
        self
    }

    /// A parameter of the request, under its KMS name, which begins in lower case.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.parameters.push((name, value.into()));
        self
    }

    /// A part of the answer that was given.
    #[must_use]
    pub fn answered(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.response.push((name, value.into()));
        self
    }

    /// What KMS has no field for.
    #[must_use]
    pub fn noting(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.additional.push((name, value.into()));
        self
    }

    /// It was refused or failed, with this code and reason.
    #[must_use]
    pub fn refused(self, code: &str, reason: &str) -> Self {
        Self { error: Some((Text::new(code), Text::new(reason))), ..self }
    }

    /// It ended like this.
    #[must_use]
    pub fn ended<T>(self, outcome: &Result<T, Error>) -> Self {
        match outcome {
            Ok(_) => self,
            Err(error) => self.refused(&code(error), &error.to_string()),
        }
    }

    /// The line but for its beginning, which [`super::line`] writes.
    pub(super) fn write(
        &self,
        out: &mut Members<'_>,
        scope: &Scope,
        program: &str,
        now: Millis,
        id: &str,
    ) {
        let (service, name) = self.action.split_once(':').unwrap_or(("signet", self.action));
        let source = if service == "kms" { "kms.amazonaws.com" } else { "signet" };
        out.text("eventVersion", "1.09")
            .text("eventTime", &seconds(now.time()))
            .text("eventID", id);
        out.text("eventSource", source).text("eventName", name);
        out.value("userIdentity", |out| self.identity.write(out, &scope.account));
        out.text("awsRegion", &scope.region);
        let (address, agent) = match &self.origin {
            Some(Origin { address: Text(address), agent: Text(agent) }) => (&**address, &**agent),
            None => ("localhost", program),
        };
        out.text("sourceIPAddress", address).text("userAgent", agent);
        if let Some((Text(code), Text(reason))) = &self.error {
            out.text("errorCode", code).text("errorMessage", reason);
        }
        for (name, named) in
            [("requestParameters", &self.parameters), ("responseElements", &self.response)]
        {
            if named.is_empty() {
                out.value(name, |out| out.push_str("null"));
            } else {
                out.object(name, |members| put(members, named));
            }
        }
        if !self.additional.is_empty() {
            out.object("additionalEventData", |members| put(members, &self.additional));
        }
        if let Some(Text(request)) = &self.request {
            out.text("requestID", request);
        }
        out.flag("readOnly", self.read_only);
        if !self.resources.is_empty() {
            out.list("resources", &self.resources, |out, resource| resource.write(out, scope));
        }
        let kind = if self.is_service { "AwsServiceEvent" } else { "AwsApiCall" };
        out.text("eventType", kind).flag("managementEvent", true);
        out.text("recipientAccountId", &scope.account).text("eventCategory", "Management");
    }
}

/// What an error is called in the trail: the name of its variant.
#[must_use]
pub fn code(error: &Error) -> String {
    let printed = format!("{error:?}");
    printed.split(|character: char| !character.is_alphanumeric()).next().unwrap_or_default().into()
}
