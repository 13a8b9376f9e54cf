layouts! {
    CK_VERSION {
        major minor
    }
    CK_INFO {
        cryptokiVersion manufacturerID flags libraryDescription libraryVersion
    }
    CK_SLOT_INFO {
        slotDescription manufacturerID flags hardwareVersion firmwareVersion
    }
    CK_TOKEN_INFO {
        label manufacturerID model serialNumber flags ulMaxSessionCount ulSessionCount
        ulMaxRwSessionCount ulRwSessionCount ulMaxPinLen ulMinPinLen ulTotalPublicMemory
        ulFreePublicMemory ulTotalPrivateMemory ulFreePrivateMemory hardwareVersion firmwareVersion
        utcTime
    }
    CK_SESSION_INFO {
        slotID state flags ulDeviceError
    }
    CK_ATTRIBUTE {
        type_ pValue ulValueLen
    }
    CK_DATE {
        year month day
    }
    CK_MECHANISM {
        mechanism pParameter ulParameterLen
    }
    CK_MECHANISM_INFO {
        ulMinKeySize ulMaxKeySize flags
    }
    CK_C_INITIALIZE_ARGS {
        CreateMutex DestroyMutex LockMutex UnlockMutex flags pReserved
    }
    CK_INTERFACE {
        pInterfaceName pFunctionList flags
    }
    CK_ASYNC_DATA {
        ulVersion pValue ulValue hObject hAdditionalObject
    }
    CK_KEY_DERIVATION_STRING_DATA {
        pData ulLen
    }
    CK_HKDF_PARAMS {
        bExtract bExpand prfHashMechanism ulSaltType pSalt ulSaltLen hSaltKey pInfo ulInfoLen
    }
    CK_PRF_DATA_PARAM {
        type_ pValue ulValueLen
    }
    CK_SP800_108_COUNTER_FORMAT {
        bLittleEndian ulWidthInBits
    }
    CK_SP800_108_DKM_LENGTH_FORMAT {
        dkmLengthMethod bLittleEndian ulWidthInBits
    }
    CK_DERIVED_KEY {
        pTemplate ulAttributeCount phKey
    }
    CK_SP800_108_KDF_PARAMS {
        prfType ulNumberOfDataParams pDataParams ulAdditionalDerivedKeys pAdditionalDerivedKeys
    }
    CK_SP800_108_FEEDBACK_KDF_PARAMS {
        prfType ulNumberOfDataParams pDataParams ulIVLen pIV ulAdditionalDerivedKeys
        pAdditionalDerivedKeys
    }
    CK_PKCS5_PBKD2_PARAMS2 {
        saltSource pSaltSourceData ulSaltSourceDataLen iterations prf pPrfData ulPrfDataLen pPassword
        ulPasswordLen
    }
    CK_TLS_MAC_PARAMS {
        prfHashMechanism ulMacLength ulServerOrClient
    }
    CK_OTP_PARAM {
        type_ pValue ulValueLen
    }
    CK_OTP_PARAMS {
        pParams ulCount
    }
    CK_OTP_SIGNATURE_INFO {
        pParams ulCount
    }
    CK_AES_CTR_PARAMS {
        ulCounterBits cb
    }
    CK_AES_CBC_ENCRYPT_DATA_PARAMS {
        iv pData length
    }
    CK_GCM_PARAMS {
        pIv ulIvLen ulIvBits pAAD ulAADLen ulTagBits
    }
    CK_GCM_MESSAGE_PARAMS {
        pIv ulIvLen ulIvFixedBits ivGenerator pTag ulTagBits
    }
    CK_GCM_WRAP_PARAMS {
        pIv ulIvLen ulIvFixedBits ivGenerator pAAD ulAADLen ulTagBits
    }
    CK_CCM_PARAMS {
        ulDataLen pNonce ulNonceLen pAAD ulAADLen ulMACLen
    }
    CK_CCM_MESSAGE_PARAMS {
        ulDataLen pNonce ulNonceLen ulNonceFixedBits nonceGenerator pMAC ulMACLen
    }
    CK_CCM_WRAP_PARAMS {
        ulDataLen pNonce ulNonceLen ulNonceFixedBits nonceGenerator pAAD ulAADLen ulMACLen
    }
}
