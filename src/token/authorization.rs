//! Who may do what with this token and its objects.
//!
//! The standard's own rules come first: nobody gets past them. Then policies decide, in
//! IAM's language, for those who are principals of the account: the owner, who is its root,
//! and named users. What they govern is what the token keeps, and copies of it; session
//! objects that an application makes for itself are its own.
//!
//! The owner sees every object, whatever the policy of a key says about the root: who
//! administers a token must know what is in it. A named user sees a key that a policy lets
//! it describe or use; to use a key through PKCS#11 a program must find it first.

use super::objects::Seen;
use super::{Token, aliases, grants, rotation};
use crate::error::{Error, Refused, Result};
use crate::object::{KeySpec, Lifecycle, Object};
use crate::policy::{
    self, Action, Caller, Concern, Context, Decision, Document, DocumentKind, Grant, KeyFacts,
    Principal, Reason, Request, Resource, Until, owner_key_policy,
};
use crate::store::Reader;
use crate::types::{Home, ObjectClass};
use crate::vault::Vault;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

/// What a request brings along besides the caller and the key: condition keys and values.
pub type Circumstances<'a> = [(&'a str, &'a [&'a str])];

/// The one name of a key's policy.
pub(super) const POLICY_NAME: &str = "default";
/// Whether a policy may be one that its author could not replace.
pub(super) const BYPASS: &str = "kms:BypassPolicyLockoutSafetyCheck";

/// Somebody asks to do something with an object.
#[derive(Clone, Copy)]
pub(super) struct Ask<'a> {
    pub principal: Principal,
    pub action: Action,
    pub circumstances: &'a Circumstances<'a>,
    /// What parameters count as that were left out.
    pub defaults: &'a [(&'a str, &'a str)],
    /// The alias, where it is about one.
    pub alias: Option<&'a str>,
}

impl<'a> Ask<'a> {
    /// Without anything else.
    pub const fn new(principal: Principal, action: Action) -> Self {
        Self { principal, action, circumstances: &[], defaults: &[], alias: None }
    }

    /// With what the request brings along.
    pub const fn with(self, circumstances: &'a Circumstances<'a>) -> Self {
        Self { circumstances, ..self }
    }
}

/// How records are read: as they are now, or under the writer's lock.
#[derive(Clone, Copy)]
struct View<'a> {
    reader: &'a dyn Reader,
    vault: Option<&'a Vault>,
}

impl Token {
    /// Whether `principal` may do `action` to `resource`: everybody who does something
    /// with the token or with an object asks here.
    ///
    /// # Errors
    /// [`Error::UserNotLoggedIn`] when another login would be needed;
    /// [`Error::AccessDenied`] when a policy forbids it or none allows it.
    pub fn authorize(
        &self,
        principal: Principal,
        action: Action,
        resource: Resource<'_>,
    ) -> Result<()> {
        self.permitted(principal, action, resource, &[]).map(|_| ())
    }

    /// The same of a request that brings something along; and until when the answer holds
    /// if nobody changes a policy, a user, the key, its tags, aliases or grants meanwhile:
    /// each of these retires the opened object.
    ///
    /// # Errors
    /// As for [`Token::authorize`].
    pub fn permitted(
        &self,
        principal: Principal,
        action: Action,
        resource: Resource<'_>,
        circumstances: &Circumstances<'_>,
    ) -> Result<Until> {
        self.answer(Ask::new(principal, action).with(circumstances), resource)
    }

    /// The same.
    pub(super) fn answer(&self, ask: Ask<'_>, resource: Resource<'_>) -> Result<Until> {
        policy::authorize(ask.principal, ask.action, resource)?;
        let Some(subject) = Subject::of(ask, resource) else { return Ok(Until::Changed) };
        self.look(ask.principal, |view| self.judge(view, ask, subject))
    }

    /// Shows `work` what is stored now, to whoever is logged in then, under the root key that it is sealed under: under an
    /// earlier one neither aliases nor grants would be found, and nobody would tell.
    fn look<R>(
        &self,
        principal: Principal,
        mut work: impl FnMut(View<'_>) -> Result<R>,
    ) -> Result<R> {
        self.refresh()?;
        self.with_vault(principal, |vault| {
            let seen = work(View { reader: &*self.store, vault });
            if let Some(vault) = vault.filter(|_| !self.is_up_to_date()) {
                rotation::require_present(&*self.store, vault)?;
            }
            seen
        })
    }

    /// Whether `principal` may make `object` by `action`. What it is a copy of has been
    /// asked about: nobody can allow something with a copy that is not there yet.
    ///
    /// # Errors
    /// As for [`Token::authorize`].
    pub fn authorize_new(
        &self,
        principal: Principal,
        action: Action,
        object: &Object,
    ) -> Result<()> {
        self.answer_new(Ask::new(principal, action), object)
    }

    /// The same.
    pub(super) fn answer_new(&self, ask: Ask<'_>, object: &Object) -> Result<()> {
        let resource = Resource::Object(object);
        match ask.action {
            Action::CopyKey => policy::authorize(ask.principal, ask.action, resource),
            _ => self.answer(ask, resource).map(|_| ()),
        }
    }

    /// [`Token::authorize`] about an object as `reader` shows the token, under the writer's lock too.
    pub(super) fn authorize_in(
        &self,
        reader: &dyn Reader,
        vault: Option<&Vault>,
        ask: Ask<'_>,
        object: &Object,
    ) -> Result<()> {
        let resource = Resource::Object(object);
        policy::authorize(ask.principal, ask.action, resource)?;
        let Some(subject) = Subject::of(ask, resource) else { return Ok(()) };
        self.judge(View { reader, vault }, ask, subject).map(|_| ())
    }

    /// Whether `principal` may know through PKCS#11 that an object is there, and what it
    /// is but for its value; and until when.
    ///
    /// # Errors
    /// As for [`Token::authorize`].
    pub fn visible(&self, principal: Principal, object: &Object) -> Result<Until> {
        let (resource, action) = (Resource::Object(object), Action::DescribeKey);
        policy::authorize(principal, action, resource)?;
        let ask = Ask::new(principal, action);
        let subject = Subject::of(ask, resource).filter(|_| principal != Principal::Owner);
        let Some(subject) = subject else { return Ok(Until::Changed) };
        self.look(principal, |view| {
            self.as_caller(principal, |caller| {
                let mut facts = self.facts(view, caller, ask, object)?;
                let described = facts.decide(self.home(), caller, action);
                if described.allowed {
                    return Ok(described.holds);
                }
                // Whoever may use a key may see it, unless a policy says the contrary.
                let request = Request { caller, action, context: &facts.context };
                let (is_forbidden, until) =
                    facts.with_key(self.home(), |key| request.is_forbidden_on_key(&key));
                if !is_forbidden {
                    for algorithm in [None].into_iter().chain(KeySpec::ALL.map(Some)) {
                        let algorithm = algorithm.map(KeySpec::mac_algorithm);
                        facts.context.set("kms:MacAlgorithm", algorithm);
                        for used in [Action::GenerateMac, Action::VerifyMac] {
                            let used = facts.decide(self.home(), caller, used);
                            if used.allowed {
                                return Ok(used.holds.min(until));
                            }
                        }
                    }
                }
                let (_, _, refusal) = self.decide(view, caller, ask, subject)?;
                Err(denied(action, &described, refusal))
            })
        })
    }

    /// Whether it may.
    ///
    /// # Errors
    /// What decides could not be read.
    pub fn may_see(&self, principal: Principal, object: &Object) -> Result<bool> {
        match self.visible(principal, object) {
            Ok(_) => Ok(true),
            Err(Error::AccessDenied(_) | Error::UserNotLoggedIn) => Ok(false),
            Err(other) => Err(other),
        }
    }

    /// What the policies say.
    fn judge(&self, view: View<'_>, ask: Ask<'_>, subject: Subject<'_>) -> Result<Until> {
        self.as_caller(ask.principal, |caller| {
            let (decision, _, refusal) = self.decide(view, caller, ask, subject)?;
            if decision.allowed {
                Ok(decision.holds)
            } else {
                Err(denied(ask.action, &decision, refusal))
            }
        })
    }

    /// The decision on what `caller` would ask for, and the resource's ARN.
    pub(super) fn decide_for(
        &self,
        caller: &Caller,
        ask: Ask<'_>,
        object: Option<&Object>,
    ) -> Result<(Decision, String)> {
        let subject = object.map_or(Subject::Account, Subject::Object);
        self.look(ask.principal, |view| {
            let (decision, resource, _) = self.decide(view, caller, ask, subject)?;
            Ok((decision, resource))
        })
    }

    /// The decision on what `caller` asks for, the resource's ARN, and the words of a
    /// refusal.
    fn decide(
        &self,
        view: View<'_>,
        caller: &Caller,
        ask: Ask<'_>,
        subject: Subject<'_>,
    ) -> Result<(Decision, String, String)> {
        let home = self.home();
        let object = match subject {
            Subject::Object(object) if ask.action.concern() != Concern::Account => object,
            _ => {
                let context = self.context(view, caller, ask, subject)?;
                let request = Request { caller, action: ask.action, context: &context };
                let decision = request.on_account();
                let refusal = request.refusal("*", &decision.because);
                return Ok((decision, "*".into(), refusal));
            }
        };
        let facts = self.facts(view, caller, ask, object)?;
        let request = Request { caller, action: ask.action, context: &facts.context };
        let (decision, resource) = match ask.alias {
            Some(alias) => {
                let alias = home.kms_arn(alias);
                (facts.with_key(home, |key| request.on_alias(&alias, &[key])), alias)
            }
            None => (facts.decide(home, caller, ask.action), facts.arn.clone()),
        };
        let refusal = request.refusal(&resource, &decision.because);
        Ok((decision, resource, refusal))
    }

    /// What decides about what is done to an object.
    fn facts(
        &self,
        view: View<'_>,
        caller: &Caller,
        ask: Ask<'_>,
        object: &Object,
    ) -> Result<Facts> {
        Ok(Facts {
            context: self.context(view, caller, ask, Subject::Object(object))?,
            arn: arn(self.home(), object),
            policy: self.policy_of(object)?,
            grants: grants_to(view, object, caller)?,
        })
    }

    /// What conditions may ask of the request.
    fn context(
        &self,
        view: View<'_>,
        caller: &Caller,
        ask: Ask<'_>,
        subject: Subject<'_>,
    ) -> Result<Context> {
        let mut context = Context::new(caller, self.now()).settled();
        context.set("aws:RequestedRegion", [self.home().region.as_str()]);
        if matches!(ask.action, Action::CreateGrant | Action::ListGrants | Action::RevokeGrant) {
            // No service asks in anybody's name.
            context.set("kms:GrantIsForAWSResource", ["false"]);
        }
        for (key, value) in ask.defaults {
            context.set_default(key, value);
        }
        for (key, values) in ask.circumstances {
            context.set(key, values.iter().copied());
        }
        if let Subject::Object(object) = subject {
            describe(object, &mut context);
            // What is made has neither tags nor aliases yet.
            if ask.action.concern() != Concern::Account {
                describe_names(view, object, &mut context)?;
            }
        }
        Ok(context)
    }

    /// Whether `principal` may retire a grant on an object.
    ///
    /// # Errors
    /// As for [`Token::authorize`].
    pub(super) fn authorize_retirement(
        &self,
        (reader, vault): Seen<'_>,
        principal: Principal,
        object: &Object,
        grant: &Grant,
    ) -> Result<()> {
        let (ask, arn) = (Ask::new(principal, Action::RetireGrant), arn(self.home(), object));
        self.as_caller(principal, |caller| {
            let view = View { reader, vault };
            let context = self.context(view, caller, ask, Subject::Object(object))?;
            let request = Request { caller, action: ask.action, context: &context };
            let decision = request.to_retire(&arn, grant);
            if decision.allowed {
                return Ok(());
            }
            let refusal = request.refusal(&arn, &decision.because);
            Err(denied(ask.action, &decision, refusal))
        })
    }

    /// Refuses a key policy that would not let `principal` replace it again.
    ///
    /// # Errors
    /// [`Error::MalformedPolicy`] for one that does not; as for [`Token::authorize`].
    pub(super) fn check_lockout(
        &self,
        (reader, vault): Seen<'_>,
        principal: Principal,
        object: &Object,
        policy: &Document,
    ) -> Result<()> {
        let home = self.home();
        let ask = Ask {
            circumstances: &[("kms:PolicyName", &[POLICY_NAME])],
            defaults: &[(BYPASS, "false")],
            ..Ask::new(principal, Action::PutKeyPolicy)
        };
        self.as_caller(principal, |caller| {
            let view = View { reader, vault };
            let context = self.context(view, caller, ask, Subject::Object(object))?;
            let request = Request { caller, action: ask.action, context: &context };
            let (account, arn) = (home.account.as_str(), arn(home, object));
            request.check_lockout(&KeyFacts { account, arn: &arn, policy, grants: &[] })
        })
    }

    /// The policy of an object, read. Of one that has none of its own: the account may do
    /// everything, and that is more than KMS's default policy gives, which does not know
    /// the actions of PKCS#11.
    fn policy_of(&self, object: &Object) -> Result<Arc<Document>> {
        match &object.lifecycle().policy {
            Some(text) => Document::parse(DocumentKind::Key, text)
                .map(Arc::new)
                .map_err(|_| Error::RecordDamaged(object.unique_id().to_owned())),
            None => self.default_policy(),
        }
    }

    fn default_policy(&self) -> Result<Arc<Document>> {
        if let Some(known) = self.default_policy.get() {
            return Ok(Arc::clone(known));
        }
        let policy =
            Document::parse(DocumentKind::Key, &owner_key_policy(self.home().account.as_str()))?;
        Ok(Arc::clone(self.default_policy.get_or_init(|| Arc::new(policy))))
    }

    /// A copy of `original` that what governs the original governs too: a session object
    /// that is no copy is its application's own, but who may only copy a key must not
    /// gain its use.
    #[must_use]
    pub fn governed_as(&self, original: &Object, copy: Object) -> Object {
        if !original.is_governed() || copy.is_governed() {
            return copy;
        }
        let policy = Some(owner_key_policy(self.home().account.as_str()));
        let lifecycle = Lifecycle { policy, ..copy.lifecycle().clone() };
        copy.with_lifecycle(lifecycle)
    }

    /// Who a principal is, as policies see it; nobody if it is none of theirs, or not
    /// logged in any more. Passed to `work`.
    pub(super) fn as_caller<R>(
        &self,
        principal: Principal,
        work: impl FnOnce(&Caller) -> Result<R>,
    ) -> Result<R> {
        let access = self.access.load();
        match (principal, &access.named) {
            (Principal::Owner, _) => work(&root(self.home())),
            (Principal::Named(_), Some(named)) if access.principal == principal => {
                work(&named.caller)
            }
            _ => Err(Error::UserNotLoggedIn),
        }
    }

    /// Whether the present state of an object goes with an action. Asks the clock only
    /// where that makes a difference.
    ///
    /// # Errors
    /// As for [`policy::require_state`].
    pub fn require_state(&self, action: Action, object: &Object) -> Result<()> {
        let has_dates = object.lifecycle().has_dates();
        let now = if has_dates { self.surroundings.clock.now() } else { UNIX_EPOCH };
        policy::require_state(action, object, now)
    }
}

/// The token's owner, as policies know it.
pub(super) fn root(home: Home) -> Caller {
    Caller { partition: home.partition(), ..Caller::root(home.account.as_str()) }
}

/// The error of a refusal in these words.
fn denied(action: Action, decision: &Decision, message: String) -> Error {
    let explicitly = matches!(decision.because, Reason::ExplicitDeny(_));
    Error::AccessDenied(Box::new(Refused { kind: action.refused(), explicitly, message }))
}

/// What decides about what a caller does to an object.
struct Facts {
    context: Context,
    arn: String,
    policy: Arc<Document>,
    grants: Vec<Grant>,
}

impl Facts {
    fn with_key<R>(&self, home: Home, work: impl FnOnce(KeyFacts<'_>) -> R) -> R {
        let grants: Vec<_> = self.grants.iter().collect();
        let (account, arn, policy) = (home.account.as_str(), &*self.arn, &*self.policy);
        work(KeyFacts { account, arn, policy, grants: &grants })
    }

    fn decide(&self, home: Home, caller: &Caller, action: Action) -> Decision {
        let request = Request { caller, action, context: &self.context };
        self.with_key(home, |key| request.on_key(&key))
    }
}

/// What policies decide about.
#[derive(Clone, Copy)]
enum Subject<'a> {
    /// Nothing in particular.
    Account,
    /// An object.
    Object(&'a Object),
}

impl<'a> Subject<'a> {
    /// Nothing where the standard's rules are all there is.
    fn of(ask: Ask<'_>, resource: Resource<'a>) -> Option<Self> {
        if matches!(ask.principal, Principal::Public | Principal::SecurityOfficer) {
            return None;
        }
        let object = match resource {
            // The owner is the root, who may.
            Resource::Token => {
                return (ask.principal != Principal::Owner).then_some(Self::Account);
            }
            Resource::Object(object) => object,
        };
        // What anybody sees without a login needs no policy.
        let is_open = matches!(ask.action, Action::DescribeKey | Action::ReadValue)
            && object.class() != ObjectClass::SecretKey
            && !object.is_private();
        (object.is_governed() && !is_open).then_some(Self::Object(object))
    }
}

/// The ARN of an object.
fn arn(home: Home, object: &Object) -> String {
    let kind = if object.class() == ObjectClass::SecretKey { "key" } else { "object" };
    home.kms_arn(&format!("{kind}/{}", object.unique_id()))
}

/// What conditions may ask of the object.
fn describe(object: &Object, context: &mut Context) {
    let life = object.lifecycle();
    context.set("kms:KeyOrigin", [life.origin.name()]);
    if let Some(spec) = KeySpec::of(object) {
        for key in ["kms:KeySpec", "kms:CustomerMasterKeySpec"] {
            context.set(key, [spec.name()]);
        }
        for key in ["kms:KeyUsage", "kms:CustomerMasterKeyUsage"] {
            context.set(key, [KeySpec::USAGE]);
        }
    }
    context.set("kms:MultiRegion", [life.multi_region.is_some().to_string()]);
    let place = life.multi_region.as_ref();
    let kind = place.map(|place| if place.is_primary { "PRIMARY" } else { "REPLICA" });
    context.set("kms:MultiRegionKeyType", kind);
}

/// The same that is given to it and taken away.
fn describe_names(view: View<'_>, object: &Object, context: &mut Context) -> Result<()> {
    for (tag, value) in object.lifecycle().tags.iter() {
        context.set(&format!("aws:ResourceTag/{tag}"), [value]);
    }
    if let Some(vault) = view.vault {
        let names = aliases::names_of(view.reader, vault, object.unique_id())?;
        context.set("kms:ResourceAliases", names);
    }
    Ok(())
}

/// The grants on a key that may concern a caller: to itself, to the role behind a session,
/// to the account.
fn grants_to(view: View<'_>, object: &Object, caller: &Caller) -> Result<Vec<Grant>> {
    let Some(vault) = view.vault else { return Ok(Vec::new()) };
    let root = Caller { partition: caller.partition, ..Caller::root(&caller.account) }.arn();
    let grantees = [Some(caller.arn()), caller.role_arn(), Some(root)];
    let mut grants = Vec::new();
    for grantee in grantees.into_iter().flatten() {
        grants.extend(grants::to(view.reader, vault, object.unique_id(), &grantee)?);
    }
    Ok(grants)
}
