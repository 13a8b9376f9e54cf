//! Who is logged in: how a login begins, lives on and ends.

use super::live::Registry;
use super::record::ROLE;
use super::{Access, Header, Holder, Name, NamedLogin, Token, record_id};
use crate::error::{Error, Result};
use crate::policy::{LoginNumber, Principal};
use crate::secret::Pin;
use crate::types::UserType;
use crate::vault::Opened;
use std::sync::Arc;
use std::sync::atomic::Ordering;

impl Token {
    /// Logs `user` in (`C_Login`, PKCS#11 v3.2 §5.6.8). The rules about other
    /// sessions are the caller's.
    ///
    /// A PIN `name:pin` of [`UserType::User`] logs the named user in, `role/role:name:pin`
    /// into that role, unless there is none of that name, or the owner's own PIN has a
    /// colon in it: then it is the owner's.
    ///
    /// # Errors
    /// [`Error::PinIncorrect`], [`Error::PinLocked`], [`Error::EntityDisabled`],
    /// [`Error::UserPinNotInitialized`], [`Error::UserTypeInvalid`],
    /// [`Error::UserAlreadyLoggedIn`], [`Error::UserAnotherAlreadyLoggedIn`];
    /// [`Error::ActionProhibited`] when the user may not take the role.
    pub fn login(&self, user: UserType, pin: &Pin) -> Result<()> {
        // Only for keys with CKA_ALWAYS_AUTHENTICATE, of which there are none.
        if user == UserType::ContextSpecific {
            return Err(Error::OperationNotInitialized);
        }
        if user == UserType::User
            && let Some((who, pin)) = split(pin)
            && self.takes_named_pins(&who)?
        {
            return self.log_in_by_name(who, &pin);
        }
        self.log_in(&user.into(), None, pin)
    }

    /// Logs in whoever has this name (`C_LoginUser`, PKCS#11 v3.2 §5.6.9); `role/role` with
    /// the PIN `name:pin` is the user `name` in that role. Without a name it is
    /// [`Token::login`].
    ///
    /// # Errors
    /// As for [`Token::login`]. A name that nobody has is [`Error::PinIncorrect`].
    pub fn login_user(&self, user: UserType, name: &str, pin: &Pin) -> Result<()> {
        match user {
            _ if name.is_empty() => self.login(user, pin),
            UserType::User => match Who::new(name) {
                Some(who) => self.log_in_by_name(who, pin),
                None => Err(self.refuse_nobody(pin)),
            },
            // The security officer has no name.
            UserType::SecurityOfficer => Err(Error::UserTypeInvalid),
            UserType::ContextSpecific => Err(Error::OperationNotInitialized),
        }
    }

    /// Logs in the user of this name in this role.
    ///
    /// # Errors
    /// As for [`Token::login_user`].
    pub fn login_in_role(&self, role: &Name, user: &Name, pin: &Pin) -> Result<()> {
        self.log_in(&user.clone().into(), Some(role.clone()), pin)
    }

    /// Whether a PIN that begins with this name is that user's, or one for that role.
    fn takes_named_pins(&self, who: &Who) -> Result<bool> {
        let owner = match self.credential(&UserType::User.into()) {
            // One that is damaged notes nothing.
            Err(Error::RecordDamaged(_)) => None,
            other => other?,
        };
        if owner.is_some_and(|owner| owner.credential.has_colon()) {
            return Ok(false);
        }
        match who {
            Who::User(name) => self.has_credential(&name.clone().into()),
            Who::Role(name) => Ok(self.store.get(ROLE, &record_id(name.folded())?)?.is_some()),
        }
    }

    fn log_in_by_name(&self, who: Who, pin: &Pin) -> Result<()> {
        match who {
            Who::User(name) => self.log_in(&name.into(), None, pin),
            Who::Role(role) => match split(pin) {
                Some((Who::User(name), pin)) => self.log_in(&name.into(), Some(role), &pin),
                _ => Err(self.refuse_nobody(pin)),
            },
        }
    }

    /// The answer to a name that can be nobody's, after as much work as for any other.
    fn refuse_nobody(&self, pin: &Pin) -> Error {
        if self.principal() != Principal::Public {
            return Error::UserAnotherAlreadyLoggedIn;
        }
        self.unlock_nothing(pin)
    }

    fn log_in(&self, holder: &Holder, role: Option<Name>, pin: &Pin) -> Result<()> {
        let _one_at_a_time = self.login.lock();
        let present = self.access.load_full();
        if let Some(other) = &present.holder {
            let is_same = other == holder && present.role == role;
            return Err(match is_same {
                true => Error::UserAlreadyLoggedIn,
                false => Error::UserAnotherAlreadyLoggedIn,
            });
        }
        let unlocked = self.unlock(holder, pin)?;
        let Opened { vault, key } = self.brought_up_to_date(holder, pin, unlocked).opened;
        let access = Access {
            principal: match holder {
                Holder::Standard(UserType::SecurityOfficer) => Principal::SecurityOfficer,
                Holder::Standard(_) => Principal::Owner,
                Holder::Named(_) => {
                    let number = self.logins.fetch_add(1, Ordering::Relaxed);
                    Principal::Named(LoginNumber(number))
                }
            },
            holder: Some(holder.clone()),
            role,
            vault: Some(Arc::new(vault)),
            key: key.map(Arc::new),
            coming: None,
            named: None,
        };
        self.begin(access)
    }

    /// Makes a login the present one once it is known that nothing has ended it since its
    /// PIN was checked.
    fn begin(&self, mut access: Access) -> Result<()> {
        let mut before = None;
        loop {
            let mut registry = self.registry.lock();
            // The root key may have been replaced since, ...
            if let Some(followed) = self.followed(&access)? {
                access = followed;
            }
            // ... or the user removed.
            match self.checked(&access) {
                Ok(checked) => {
                    self.access.store(Arc::new(checked));
                    registry.retire_sealed();
                    break;
                }
                Err(Error::RootKeyReplaced) => {
                    let root = access.vault.as_ref().map(|vault| *vault.root_name());
                    if before == Some(root) {
                        // It was not: the header claims it.
                        return Err(Header::damaged());
                    }
                    before = Some(root);
                }
                // The PIN was right and opens nothing any more.
                Err(Error::UserNotLoggedIn) => return Err(Error::PinIncorrect),
                Err(other) => return Err(other),
            }
            drop(registry);
            self.refresh()?;
        }
        self.act_on_dates_now_and_then();
        self.look_for_public_objects();
        Ok(())
    }

    /// The same login with the user and the role as stored now.
    ///
    /// # Errors
    /// As for [`NamedLogin::read`]; [`Error::UserNotLoggedIn`] when the login had ended
    /// before.
    fn checked(&self, access: &Access) -> Result<Access> {
        let (holder, vault) = match (&access.holder, &access.vault) {
            (Some(holder), Some(vault)) => (holder, vault),
            _ => return Err(Error::UserNotLoggedIn),
        };
        let Holder::Named(name) = holder else { return Ok(access.clone()) };
        let (home, now) = (self.home(), self.surroundings.clock.now());
        let mut named = None;
        self.store.snapshot(&mut |reader| {
            let who = (name, access.role.as_ref());
            let before = access.named.as_deref();
            named = Some(Arc::new(NamedLogin::read(reader, vault, who, before, home, now)?));
            Ok(())
        })?;
        Ok(Access { named, ..access.clone() })
    }

    /// After others have changed users: ends the login of one who was disabled or
    /// removed, and takes over what is new.
    pub(super) fn check_login(&self, registry: &mut Registry) -> Result<()> {
        if !registry.is_login_in_doubt() {
            return Ok(());
        }
        let access = self.access.load_full();
        if matches!(access.holder, Some(Holder::Named(_))) {
            match self.checked(&access) {
                Ok(checked) => {
                    self.access.store(Arc::new(checked));
                    registry.retire_judged();
                }
                // Once the header is seen that says so.
                Err(Error::RootKeyReplaced) => return Ok(()),
                Err(
                    Error::EntityDisabled(_)
                    | Error::MalformedPolicy(_)
                    | Error::RecordDamaged(_)
                    | Error::UserNotLoggedIn,
                ) => {
                    self.access.store(Arc::new(Access::PUBLIC));
                    registry.retire_sealed();
                }
                Err(other) => return Err(other),
            }
        }
        registry.login_is_checked();
        Ok(())
    }

    /// Forgets the login and with it the root key (`C_Logout`).
    ///
    /// # Errors
    /// [`Error::UserNotLoggedIn`].
    pub fn logout(&self) -> Result<()> {
        let _one_at_a_time = self.login.lock();
        let before = self.access.load_full();
        if before.principal == Principal::Public {
            return Err(Error::UserNotLoggedIn);
        }
        self.take_leave(&before);
        let mut registry = self.registry.lock();
        self.access.store(Arc::new(Access::PUBLIC));
        registry.retire_sealed();
        Ok(())
    }

    /// The named user who is logged in, as of the last look at the token; `None` when
    /// nobody is, the owner, or the security officer. Another value when anything of it has
    /// changed.
    #[must_use]
    pub fn named_login(&self) -> Option<Arc<NamedLogin>> {
        self.access.load().named.clone()
    }

    /// Whose PIN the login was made with; `None` when nobody is logged in.
    #[must_use]
    pub fn holder(&self) -> Option<Holder> {
        self.access.load().holder.clone()
    }
}

/// What a user name says.
enum Who {
    User(Name),
    /// A role, taken by a user whom the PIN names.
    Role(Name),
}

impl Who {
    /// The longest text that is one, in bytes.
    const MAX_LEN: usize = "role/".len() + Name::MAX_LEN;

    fn new(text: &str) -> Option<Self> {
        match text.strip_prefix("role/") {
            Some(role) => Name::new(role).map(Self::Role),
            None => Name::new(text).map(Self::User),
        }
    }
}

/// A PIN of the form `name:pin`. The PIN itself may have more colons.
fn split(pin: &Pin) -> Option<(Who, Pin)> {
    let bytes = pin.expose();
    let colon = bytes.iter().take(Who::MAX_LEN + 1).position(|byte| *byte == b':')?;
    let who = str::from_utf8(&bytes[..colon]).ok().and_then(Who::new)?;
    Some((who, Pin::copied(&bytes[colon + 1..])))
}
