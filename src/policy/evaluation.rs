//! Who may do what: the decision. See [`Request`].

use super::Action;
use super::caller::{Caller, CallerKind};
use super::context::{Context, Facts};
use super::decision::{Decision, PolicyName, Reason, StatementName, Truth, Until};
use super::document::{Document, DocumentKind};
use super::grant::Grant;
use super::principal::Named;
use super::statement::{Effect, Statement};
use crate::error::{Error, Result};

/// Somebody asks to do something. What is asked about decides which method
/// answers, by the action's [`Concern`](super::Concern).
///
/// The order of AWS's evaluation: a Deny that applies wins, wherever it stands.
/// Else a key's policy allows by naming the caller; or by naming the caller's
/// account, where the caller is the root or has a policy that allows it too; or a
/// grant allows. Otherwise the answer is no. From another account it takes the
/// key's policy and one of the caller's, or a grant.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// Who asks.
    pub caller: &'a Caller,
    /// What for.
    pub action: Action,
    /// What comes with it.
    pub context: &'a Context,
}

/// What is known of a key.
#[derive(Debug, Clone, Copy)]
pub struct KeyFacts<'a> {
    /// The account that it belongs to.
    pub account: &'a str,
    /// Its ARN.
    pub arn: &'a str,
    /// Its policy, of kind [`DocumentKind::Key`].
    pub policy: &'a Document,
    /// Its grants; those to others do no harm.
    pub grants: &'a [&'a Grant],
}

/// What is known of a role.
#[derive(Debug, Clone, Copy)]
pub struct RoleFacts<'a> {
    /// The account that it belongs to.
    pub account: &'a str,
    /// Its ARN.
    pub arn: &'a str,
    /// Who may take it, of kind [`DocumentKind::Trust`].
    pub trust: &'a Document,
}

/// Whether a statement applies, and the first that does.
struct Verdict {
    truth: Truth,
    statement: Option<StatementName>,
}

impl Request<'_> {
    /// Whether it may be done to this key ([`Concern::Key`](super::Concern::Key)).
    pub fn on_key(&self, key: &KeyFacts<'_>) -> Decision {
        self.on_resource(key.account, key.arn, key.policy, key.grants)
    }

    /// Whether a policy forbids it to be done to this key, and for how long that stays so,
    /// whether anything allows it or not.
    #[must_use]
    pub fn is_forbidden_on_key(&self, key: &KeyFacts<'_>) -> (bool, Until) {
        let facts = self.facts(key.policy);
        let denied = self.resource(key.policy, Effect::Deny, key.arn, &facts, Named::Account);
        let Truth { holds, until } = denied.or(self.identity(Effect::Deny, key.arn)).truth;
        (holds, until)
    }

    /// Whether this role may be taken ([`Concern::Role`](super::Concern::Role)).
    pub fn on_role(&self, role: &RoleFacts<'_>) -> Decision {
        self.on_resource(role.account, role.arn, role.trust, &[])
    }

    /// Whether it may be done where there is no key yet, or none in particular
    /// ([`Concern::Account`](super::Concern::Account)).
    pub fn on_account(&self) -> Decision {
        self.by_identity("*")
    }

    /// Whether it may be done to this alias and to all the keys that it names or
    /// will name ([`Concern::Alias`](super::Concern::Alias)).
    pub fn on_alias(&self, alias: &str, keys: &[KeyFacts<'_>]) -> Decision {
        let by_identity = self.by_identity(alias);
        keys.iter().map(|key| self.on_key(key)).fold(by_identity, Decision::and)
    }

    /// Whether this grant on a key may be retired: by whom the grant says, and by
    /// the account that made it. No policy of the key takes part.
    pub fn to_retire(&self, key_arn: &str, grant: &Grant) -> Decision {
        let denied = self.identity(Effect::Deny, key_arn);
        let identity = self.identity_or_root(key_arn);
        let id = || grant.id.clone();
        let own = grant.retires_by(self.caller);
        let listed =
            grant.allows(Action::RetireGrant, &[]) && grant.grants_to(self.caller) == Named::Caller;
        let issued = grant.issuing_account == self.caller.account;
        let by_account = Truth::always(own == Named::Account || issued).and(identity.truth);
        let (by_grant, because) = match () {
            () if own == Named::Caller => (true, Reason::RetiringPrincipal(id())),
            () if listed => (true, Reason::Grant(id())),
            () if by_account.holds => {
                (false, identity.statement.map_or(Reason::Root, Reason::Identity))
            }
            () => (false, Reason::NotToRetire),
        };
        denied.unless_denied(Truth::always(by_grant).or(by_account), because)
    }

    /// Whether the key's policy alone would let the caller replace it again, or
    /// leave that to the caller's account.
    ///
    /// # Errors
    /// [`Error::MalformedPolicy`] if not.
    pub fn check_lockout(&self, key: &KeyFacts<'_>) -> Result<()> {
        let put = Request { action: Action::PutKeyPolicy, ..*self };
        let facts = put.facts(key.policy);
        let denied = put.resource(key.policy, Effect::Deny, key.arn, &facts, Named::Account);
        let allowed = put.resource(key.policy, Effect::Allow, key.arn, &facts, Named::Account);
        if allowed.truth.holds && !denied.truth.holds {
            return Ok(());
        }
        Err(Error::MalformedPolicy(
            "The new key policy will not allow you to update the key policy in the future.".into(),
        ))
    }

    /// What KMS says to somebody who is refused.
    #[must_use]
    pub fn refusal(&self, resource: &str, because: &Reason) -> String {
        let action = self.action.name();
        let why = match because {
            Reason::ExplicitDeny(StatementName { policy: PolicyName::Identity(_), .. }) => {
                "with an explicit deny in an identity-based policy".into()
            }
            Reason::ExplicitDeny(_) => "with an explicit deny in a resource-based policy".into(),
            Reason::NoResourcePolicy => {
                format!("because no resource-based policy allows the {action} action")
            }
            _ => format!("because no identity-based policy allows the {action} action"),
        };
        let caller = self.caller.arn();
        format!(
            "User: {caller} is not authorized to perform: {action} on resource: {resource} {why}"
        )
    }

    /// What is done to something with a policy of its own.
    fn on_resource(
        &self,
        account: &str,
        arn: &str,
        policy: &Document,
        grants: &[&Grant],
    ) -> Decision {
        let facts = self.facts(policy);
        let denied = self.resource(policy, Effect::Deny, arn, &facts, Named::Account);
        let denied = denied.or(self.identity(Effect::Deny, arn));
        let named = self.resource(policy, Effect::Allow, arn, &facts, Named::Caller);
        let delegated = self.resource(policy, Effect::Allow, arn, &facts, Named::Account);
        let identity = self.identity_or_root(arn);
        let by_both = delegated.truth.and(identity.truth);
        let at_home = account == self.caller.account;
        let by_name = if at_home { named.truth } else { Truth::always(false) };
        let (granted, grant) = self.granted(arn, grants);
        let because = match (by_name.holds, by_both.holds, grant) {
            (true, ..) => named.statement.map(Reason::Named),
            (_, true, _) => {
                delegated.statement.map(|by| Reason::Delegated { by, to: identity.statement })
            }
            (_, _, Some(grant)) => Some(Reason::Grant(grant.id.clone())),
            _ if delegated.truth.holds => Some(Reason::NoIdentityPolicy),
            _ => None,
        };
        let allowed = by_name.or(by_both).or(granted);
        denied.unless_denied(allowed, because.unwrap_or(Reason::NoResourcePolicy))
    }

    /// What only the caller's own policies decide.
    fn by_identity(&self, resource: &str) -> Decision {
        let denied = self.identity(Effect::Deny, resource);
        let allowed = self.identity_or_root(resource);
        let because = match (allowed.truth.holds, allowed.statement) {
            (true, Some(statement)) => Reason::Identity(statement),
            (true, None) => Reason::Root,
            (false, _) => Reason::NoIdentityPolicy,
        };
        denied.unless_denied(allowed.truth, because)
    }

    /// Whether a grant allows it, and the first that does. One to an account is for
    /// its root and for those in it whose policies allow the same.
    fn granted<'g>(&self, arn: &str, grants: &[&'g Grant]) -> (Truth, Option<&'g Grant>) {
        let (mut any, mut first) = (Truth::always(false), None);
        let operations = self.context.values("kms:GrantOperations");
        let until = match self.action {
            Action::CreateGrant => Facts::of(self.context).look_up("kms:grantoperations").until(),
            _ => Truth::always(true).until,
        };
        for grant in grants {
            let allows = Truth { holds: grant.allows(self.action, operations), until };
            let to = match grant.grants_to(self.caller) {
                Named::Caller => Truth::always(true),
                Named::Account => self.identity_or_root(arn).truth,
                Named::No => continue,
            };
            let truth = allows.and(to);
            any = any.or(truth);
            first = first.or(truth.holds.then_some(*grant));
        }
        (any, first)
    }

    /// What the conditions of a policy may see.
    fn facts(&self, policy: &Document) -> Facts<'_> {
        match policy.kind() {
            DocumentKind::Key => Facts::without_aliases(self.context),
            DocumentKind::Identity | DocumentKind::Trust => Facts::of(self.context),
        }
    }

    /// The statements of a key's or role's policy that name the caller so closely.
    fn resource(
        &self,
        policy: &Document,
        effect: Effect,
        resource: &str,
        facts: &Facts<'_>,
        closely: Named,
    ) -> Verdict {
        let names = |statement: &Statement| {
            let Some(principals) = &statement.principals else { return false };
            match effect {
                Effect::Allow => principals.allows(self.caller) >= closely,
                Effect::Deny => principals.denies(self.caller),
            }
        };
        let name = match policy.kind() {
            DocumentKind::Trust => PolicyName::Trust,
            DocumentKind::Key | DocumentKind::Identity => PolicyName::Key,
        };
        self.first(policy, &name, effect, resource, facts, names)
    }

    /// The statements of the caller's own policies.
    fn identity(&self, effect: Effect, resource: &str) -> Verdict {
        let facts = Facts::of(self.context);
        let policies = self.caller.policies.iter().map(|policy| {
            let name = PolicyName::Identity(policy.name.clone());
            self.first(&policy.document, &name, effect, resource, &facts, |_| true)
        });
        policies.fold(Verdict { truth: Truth::always(false), statement: None }, Verdict::or)
    }

    /// The same, for the root without asking.
    fn identity_or_root(&self, resource: &str) -> Verdict {
        match self.caller.kind {
            CallerKind::Root => Verdict { truth: Truth::always(true), statement: None },
            CallerKind::User | CallerKind::AssumedRole { .. } => {
                self.identity(Effect::Allow, resource)
            }
        }
    }

    /// Whether one of the statements of this effect applies, and the first that does.
    fn first(
        &self,
        policy: &Document,
        name: &PolicyName,
        effect: Effect,
        resource: &str,
        facts: &Facts<'_>,
        means: impl Fn(&Statement) -> bool,
    ) -> Verdict {
        let mut verdict = Verdict { truth: Truth::always(false), statement: None };
        let statements = policy.statements().iter().enumerate();
        for (index, statement) in
            statements.filter(|(_, statement)| statement.effect == effect && means(statement))
        {
            let truth = statement.applies(self.action, resource, facts);
            verdict.truth = verdict.truth.or(truth);
            if truth.holds && verdict.statement.is_none() {
                let (policy, sid) = (name.clone(), statement.sid.clone());
                verdict.statement = Some(StatementName { policy, number: index + 1, sid });
            }
        }
        verdict
    }
}

impl Verdict {
    fn or(self, other: Self) -> Self {
        let statement = self.statement.or(other.statement);
        Self { truth: self.truth.or(other.truth), statement }
    }

    /// The decision, where this is what denies.
    fn unless_denied(self, allowed: Truth, because: Reason) -> Decision {
        let truth = self.truth.not().and(allowed);
        let because = self.statement.map_or(because, Reason::ExplicitDeny);
        Decision { allowed: truth.holds, because, holds: truth.until }
    }
}

impl Decision {
    /// Both must be allowed; the first refusal is the reason.
    fn and(self, other: Self) -> Self {
        let truth = |decision: &Self| Truth { holds: decision.allowed, until: decision.holds };
        let both = truth(&self).and(truth(&other));
        let because = if self.allowed { other.because } else { self.because };
        Self { allowed: both.holds, because, holds: both.until }
    }
}
