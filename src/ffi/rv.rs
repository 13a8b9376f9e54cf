//! The one map from [`Error`] to the standard's return values.

use crate::error::{Error, RefusedKind};
use cryptoki_sys::*;

/// The return value for an error. No wildcard: a new variant must be decided.
pub const fn of(error: &Error) -> CK_RV {
    match error {
        Error::AccessDenied(refused) => match refused.kind {
            RefusedKind::Use => CKR_KEY_FUNCTION_NOT_PERMITTED,
            RefusedKind::Change => CKR_ACTION_PROHIBITED,
            RefusedKind::Creation => CKR_FUNCTION_FAILED,
        },
        Error::ActionProhibited(_)
        | Error::CredentialOutdated(_)
        | Error::Refused(_)
        | Error::EntityDisabled(_) => CKR_ACTION_PROHIBITED,
        Error::KeyFunctionNotPermitted => CKR_KEY_FUNCTION_NOT_PERMITTED,
        Error::ArgumentsBad(_)
        | Error::InvalidArn(_)
        | Error::MalformedPolicy(_)
        | Error::ValidationFailed(_) => CKR_ARGUMENTS_BAD,
        Error::AttributeReadOnly(_) => CKR_ATTRIBUTE_READ_ONLY,
        Error::AttributeSensitive(_) => CKR_ATTRIBUTE_SENSITIVE,
        Error::AttributeTypeInvalid(_) => CKR_ATTRIBUTE_TYPE_INVALID,
        Error::AttributeValueInvalid(_) => CKR_ATTRIBUTE_VALUE_INVALID,
        Error::BufferTooSmall(_) => CKR_BUFFER_TOO_SMALL,
        Error::CryptokiAlreadyInitialized => CKR_CRYPTOKI_ALREADY_INITIALIZED,
        Error::CryptokiNotInitialized => CKR_CRYPTOKI_NOT_INITIALIZED,
        Error::DataLenRange => CKR_DATA_LEN_RANGE,
        Error::BackupRefused { .. }
        | Error::Configuration(_)
        | Error::EntityExists(_)
        | Error::EntityUnknown(_)
        | Error::FunctionFailed(_)
        | Error::LimitExceeded(_)
        | Error::RootKeyReplaced
        | Error::UniqueIdTaken { .. } => CKR_FUNCTION_FAILED,
        Error::FunctionNotParallel => CKR_FUNCTION_NOT_PARALLEL,
        Error::FunctionNotSupported => CKR_FUNCTION_NOT_SUPPORTED,
        Error::HostMemory => CKR_HOST_MEMORY,
        Error::KeyHandleInvalid(_) => CKR_KEY_HANDLE_INVALID,
        Error::KeyIndigestible => CKR_KEY_INDIGESTIBLE,
        Error::KeyTypeInconsistent => CKR_KEY_TYPE_INCONSISTENT,
        Error::MechanismInvalid(_) => CKR_MECHANISM_INVALID,
        Error::MechanismParamInvalid => CKR_MECHANISM_PARAM_INVALID,
        Error::ModuleFailed | Error::Panicked => CKR_GENERAL_ERROR,
        Error::NoEvent => CKR_NO_EVENT,
        Error::ObjectHandleInvalid(_) => CKR_OBJECT_HANDLE_INVALID,
        Error::OperationActive => CKR_OPERATION_ACTIVE,
        Error::OperationNotInitialized => CKR_OPERATION_NOT_INITIALIZED,
        Error::PinIncorrect => CKR_PIN_INCORRECT,
        Error::PinLenRange => CKR_PIN_LEN_RANGE,
        Error::PinLocked => CKR_PIN_LOCKED,
        Error::AuditUnavailable(_)
        | Error::EntropyUnavailable
        | Error::RecordDamaged(_)
        | Error::StoreDamaged { .. }
        | Error::StoreIo { .. }
        | Error::StoreRolledBack { .. } => CKR_DEVICE_ERROR,
        Error::SessionAsyncNotSupported => CKR_SESSION_ASYNC_NOT_SUPPORTED,
        Error::SessionCount => CKR_SESSION_COUNT,
        Error::SessionExists => CKR_SESSION_EXISTS,
        Error::SessionHandleInvalid(_) => CKR_SESSION_HANDLE_INVALID,
        Error::SessionParallelNotSupported => CKR_SESSION_PARALLEL_NOT_SUPPORTED,
        Error::SessionReadOnly => CKR_SESSION_READ_ONLY,
        Error::SessionReadOnlyExists => CKR_SESSION_READ_ONLY_EXISTS,
        Error::SessionReadWriteSoExists => CKR_SESSION_READ_WRITE_SO_EXISTS,
        Error::SignatureInvalid => CKR_SIGNATURE_INVALID,
        Error::SignatureLenRange => CKR_SIGNATURE_LEN_RANGE,
        Error::SlotIdInvalid(_) => CKR_SLOT_ID_INVALID,
        Error::StoreFull(_) => CKR_DEVICE_MEMORY,
        Error::StoreReadOnly(_) | Error::TokenWriteProtected => CKR_TOKEN_WRITE_PROTECTED,
        Error::TemplateIncomplete(_) => CKR_TEMPLATE_INCOMPLETE,
        Error::TemplateInconsistent(_) => CKR_TEMPLATE_INCONSISTENT,
        Error::TokenNotPresent(_) => CKR_TOKEN_NOT_PRESENT,
        Error::TokenNotRecognized(_) => CKR_TOKEN_NOT_RECOGNIZED,
        Error::UserAlreadyLoggedIn => CKR_USER_ALREADY_LOGGED_IN,
        Error::UserAnotherAlreadyLoggedIn => CKR_USER_ANOTHER_ALREADY_LOGGED_IN,
        Error::UserNotLoggedIn => CKR_USER_NOT_LOGGED_IN,
        Error::UserPinNotInitialized => CKR_USER_PIN_NOT_INITIALIZED,
        Error::UserTypeInvalid => CKR_USER_TYPE_INVALID,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Refused;
    use crate::types::{AttributeType, ObjectHandle, SessionHandle, SlotId};

    #[test]
    fn errors_with_a_name_of_their_own_have_the_standard_s_value_for_it() {
        for (error, value) in [
            (Error::AttributeSensitive(AttributeType::Value), CKR_ATTRIBUTE_SENSITIVE),
            (Error::BufferTooSmall(32), CKR_BUFFER_TOO_SMALL),
            (Error::KeyHandleInvalid(ObjectHandle(1)), CKR_KEY_HANDLE_INVALID),
            (Error::MechanismInvalid(0), CKR_MECHANISM_INVALID),
            (Error::ObjectHandleInvalid(ObjectHandle(1)), CKR_OBJECT_HANDLE_INVALID),
            (Error::OperationNotInitialized, CKR_OPERATION_NOT_INITIALIZED),
            (Error::PinLocked, CKR_PIN_LOCKED),
            (Error::SessionHandleInvalid(SessionHandle(1)), CKR_SESSION_HANDLE_INVALID),
            (Error::SignatureInvalid, CKR_SIGNATURE_INVALID),
            (Error::SignatureLenRange, CKR_SIGNATURE_LEN_RANGE),
            (Error::SlotIdInvalid(SlotId(1)), CKR_SLOT_ID_INVALID),
            (Error::UserNotLoggedIn, CKR_USER_NOT_LOGGED_IN),
        ] {
            assert_eq!(of(&error), value, "{error:?}");
        }
    }

    #[test]
    fn the_others_have_the_value_that_tells_the_caller_whose_fault_it_is() {
        let path = || "file".into();
        let reason = || String::from("reason");
        let denied = |kind| {
            let refused = Refused { kind, explicitly: false, message: reason() };
            Error::AccessDenied(Box::new(refused))
        };
        for (error, value) in [
            (denied(RefusedKind::Use), CKR_KEY_FUNCTION_NOT_PERMITTED),
            (denied(RefusedKind::Change), CKR_ACTION_PROHIBITED),
            (denied(RefusedKind::Creation), CKR_FUNCTION_FAILED),
            (Error::Configuration(reason()), CKR_FUNCTION_FAILED),
            (Error::FunctionFailed(reason()), CKR_FUNCTION_FAILED),
            (Error::LimitExceeded(reason()), CKR_FUNCTION_FAILED),
            (Error::InvalidArn(reason()), CKR_ARGUMENTS_BAD),
            (Error::MalformedPolicy(reason()), CKR_ARGUMENTS_BAD),
            (Error::ValidationFailed(reason()), CKR_ARGUMENTS_BAD),
            (Error::ModuleFailed, CKR_GENERAL_ERROR),
            (Error::Panicked, CKR_GENERAL_ERROR),
            (Error::EntropyUnavailable, CKR_DEVICE_ERROR),
            (Error::RecordDamaged(reason()), CKR_DEVICE_ERROR),
            (Error::AuditUnavailable(reason()), CKR_DEVICE_ERROR),
            (Error::StoreDamaged { path: path(), reason: reason() }, CKR_DEVICE_ERROR),
            (Error::StoreIo { path: path(), reason: reason() }, CKR_DEVICE_ERROR),
            (
                Error::StoreRolledBack {
                    slot: SlotId(0),
                    counter: path(),
                    found: (1, 2),
                    newest: (3, 4),
                },
                CKR_DEVICE_ERROR,
            ),
            (Error::StoreFull(path()), CKR_DEVICE_MEMORY),
            (Error::StoreReadOnly(path()), CKR_TOKEN_WRITE_PROTECTED),
            (Error::TokenWriteProtected, CKR_TOKEN_WRITE_PROTECTED),
        ] {
            assert_eq!(of(&error), value, "{error:?}");
        }
    }
}
