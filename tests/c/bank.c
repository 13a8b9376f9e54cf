/*
 * A bank's old program: what a C program does with an HSM for HMAC keys, from
 * an empty module to a MAC and back. It knows PKCS#11 2.40 only, and loads the
 * module whose path it is given.
 *
 *     bank MODULE [signet]
 *
 * With "signet" it also checks what Signet promises beyond SoftHSM 2. It prints
 * the first thing that is not as expected and returns 1.
 */
#ifdef WITH_P11_KIT
#include <p11-kit/pkcs11.h>
#else
#include "signet_pkcs11.h"
#endif

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

#define MUST(condition) must((condition) ? 1 : 0, __LINE__, #condition)
#define EXPECT(expected, call) expect((expected), #expected, (call), __LINE__, #call)
#define OK(call) EXPECT(CKR_OK, call)

static CK_FUNCTION_LIST_PTR p11;
static int with_signet;

static const char label_text[] = "bank";
static char so_pin[] = "so-12345678";
static char first_pin[] = "user-1234";
static char pin[] = "user-5678";

static CK_BBOOL yes = CK_TRUE;
static CK_BBOOL no = CK_FALSE;
static CK_OBJECT_CLASS secret_key = CKO_SECRET_KEY;
static CK_KEY_TYPE generic_secret = CKK_GENERIC_SECRET;
static char key_label[] = "ledger";
static CK_MECHANISM hmac = {CKM_SHA256_HMAC, NULL, 0};

static unsigned char message[] = "pay 100 to the bearer";
#define MESSAGE_LEN (sizeof(message) - 1)

static void must(int holds, int line, const char *text)
{
    if (!holds) {
        printf("bank.c:%d: does not hold: %s\n", line, text);
        exit(1);
    }
}

static void expect(CK_RV expected, const char *name, CK_RV got, int line, const char *call)
{
    if (got != expected) {
        printf("bank.c:%d: %s: got 0x%lx, not %s\n", line, call, got, name);
        exit(1);
    }
}

static CK_UTF8CHAR_PTR text(char *characters)
{
    return (CK_UTF8CHAR_PTR)characters;
}

static CK_ATTRIBUTE attribute(CK_ATTRIBUTE_TYPE type, void *value, CK_ULONG length)
{
    CK_ATTRIBUTE one;
    one.type = type;
    one.pValue = value;
    one.ulValueLen = length;
    return one;
}

/* ISO C cannot turn what dlsym returns into a function; POSIX promises that the
 * bytes mean the same. */
static void *load(const char *path)
{
    void *module = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    void *symbol;
    CK_C_GetFunctionList get;
    if (module == NULL) {
        printf("%s\n", dlerror());
        exit(1);
    }
    symbol = dlsym(module, "C_GetFunctionList");
    MUST(symbol != NULL);
    memcpy(&get, &symbol, sizeof(get));
    EXPECT(CKR_ARGUMENTS_BAD, get(NULL));
    OK(get(&p11));
    MUST(p11 != NULL && p11->version.major == 2 && p11->version.minor == 40);
    return module;
}

#ifdef SIGNET_CK_FUNCTIONS_3_2
/* What only our header knows: every function of 3.2 is there to be looked up, and
 * the default interface offers the same ones. */
static void version_3_2(void *module)
{
    static const char *const names[] = {
#define NAME(name, parameters) #name,
        SIGNET_CK_FUNCTIONS_3_2(NAME)
#undef NAME
    };
    CK_INTERFACE_PTR found = NULL;
    CK_FUNCTION_LIST_3_2_PTR list;
    CK_C_GetInterface get;
    void *symbol;
    size_t i;
    for (i = 0; i < LENGTH(names); i++) {
        if (dlsym(module, names[i]) == NULL) {
            printf("%s is not exported\n", names[i]);
            exit(1);
        }
    }
    symbol = dlsym(module, "C_GetInterface");
    memcpy(&get, &symbol, sizeof(get));
    OK(get(NULL, NULL, &found, 0));
    MUST(found != NULL && strcmp((char *)found->pInterfaceName, "PKCS 11") == 0);
    list = (CK_FUNCTION_LIST_3_2_PTR)found->pFunctionList;
    MUST(list->version.major == 3 && list->version.minor == 2);
    MUST(list->C_GetInterface == get);
#define CALLABLE(name, parameters) MUST(list->name != NULL);
    SIGNET_CK_FUNCTIONS_3_2(CALLABLE)
#undef CALLABLE
}
#endif

/* Mutexes of the application's own; the module may prefer the system's. */
static CK_RV create_mutex(void **mutex)
{
    *mutex = malloc(1);
    return *mutex == NULL ? CKR_HOST_MEMORY : CKR_OK;
}

static CK_RV destroy_mutex(void *mutex)
{
    free(mutex);
    return CKR_OK;
}

static CK_RV keep_mutex(void *mutex)
{
    return mutex == NULL ? CKR_MUTEX_BAD : CKR_OK;
}

static void initialise(void)
{
    CK_C_INITIALIZE_ARGS args;
    CK_INFO info;
    memset(&args, 0, sizeof(args));

    EXPECT(CKR_CRYPTOKI_NOT_INITIALIZED, p11->C_GetInfo(&info));
    EXPECT(CKR_CRYPTOKI_NOT_INITIALIZED, p11->C_Finalize(NULL));
    OK(p11->C_Initialize(NULL));
    EXPECT(CKR_CRYPTOKI_ALREADY_INITIALIZED, p11->C_Initialize(NULL));
    EXPECT(CKR_ARGUMENTS_BAD, p11->C_Finalize(&args));
    OK(p11->C_Finalize(NULL));

    args.flags = CKF_OS_LOCKING_OK;
    args.CreateMutex = create_mutex;
    EXPECT(CKR_ARGUMENTS_BAD, p11->C_Initialize(&args));
    args.DestroyMutex = destroy_mutex;
    args.LockMutex = keep_mutex;
    args.UnlockMutex = keep_mutex;
    args.pReserved = &args;
    EXPECT(CKR_ARGUMENTS_BAD, p11->C_Initialize(&args));
    args.pReserved = NULL;
    OK(p11->C_Initialize(&args));
    OK(p11->C_Finalize(NULL));

    memset(&args, 0, sizeof(args));
    args.flags = CKF_OS_LOCKING_OK;
    OK(p11->C_Initialize(&args));
    EXPECT(CKR_ARGUMENTS_BAD, p11->C_GetInfo(NULL));
    OK(p11->C_GetInfo(&info));
    MUST(info.cryptokiVersion.major >= 2);
    MUST(info.flags == 0);
}

/* The slot of the token with this label; with a null label, of one that is not
 * initialised. */
static CK_SLOT_ID slot_of(const char *label)
{
    CK_SLOT_ID slots[16];
    CK_ULONG count = 0;
    CK_ULONG i;
    EXPECT(CKR_ARGUMENTS_BAD, p11->C_GetSlotList(CK_TRUE, NULL, NULL));
    OK(p11->C_GetSlotList(CK_TRUE, NULL, &count));
    MUST(count >= 1 && count <= LENGTH(slots));
    i = 0;
    EXPECT(CKR_BUFFER_TOO_SMALL, p11->C_GetSlotList(CK_TRUE, slots, &i));
    MUST(i == count);
    OK(p11->C_GetSlotList(CK_TRUE, slots, &count));
    for (i = 0; i < count; i++) {
        CK_SLOT_INFO slot;
        CK_TOKEN_INFO token;
        int ready;
        OK(p11->C_GetSlotInfo(slots[i], &slot));
        MUST(slot.flags & CKF_TOKEN_PRESENT);
        OK(p11->C_GetTokenInfo(slots[i], &token));
        ready = (token.flags & CKF_TOKEN_INITIALIZED) != 0;
        if (label == NULL ? !ready
                          : ready && memcmp(token.label, label, strlen(label)) == 0 &&
                                token.label[strlen(label)] == ' ') {
            return slots[i];
        }
    }
    printf("no token is labelled %s\n", label == NULL ? "(none)" : label);
    exit(1);
}

static CK_SESSION_HANDLE open_session(CK_SLOT_ID slot)
{
    CK_SESSION_HANDLE session = CK_INVALID_HANDLE;
    EXPECT(CKR_SESSION_PARALLEL_NOT_SUPPORTED,
           p11->C_OpenSession(slot, CKF_RW_SESSION, NULL, NULL, &session));
    OK(p11->C_OpenSession(slot, CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL, &session));
    MUST(session != CK_INVALID_HANDLE);
    return session;
}

static CK_STATE state_of(CK_SESSION_HANDLE session)
{
    CK_SESSION_INFO info;
    OK(p11->C_GetSessionInfo(session, &info));
    return info.state;
}

static CK_RV login(CK_SESSION_HANDLE session, CK_USER_TYPE user, char *word)
{
    return p11->C_Login(session, user, text(word), strlen(word));
}

static CK_SLOT_ID make_token(void)
{
    CK_SLOT_ID slot = slot_of(NULL);
    CK_SESSION_HANDLE session;
    CK_TOKEN_INFO token;
    CK_UTF8CHAR label[32];
    memset(label, ' ', sizeof(label));
    memcpy(label, label_text, strlen(label_text));
    OK(p11->C_InitToken(slot, text(so_pin), strlen(so_pin), label));

    slot = slot_of(label_text);
    session = open_session(slot);
    MUST(state_of(session) == CKS_RW_PUBLIC_SESSION);
    EXPECT(CKR_SESSION_EXISTS, p11->C_InitToken(slot, text(so_pin), strlen(so_pin), label));
    EXPECT(CKR_USER_PIN_NOT_INITIALIZED, login(session, CKU_USER, pin));
    EXPECT(CKR_USER_NOT_LOGGED_IN,
           p11->C_InitPIN(session, text(first_pin), strlen(first_pin)));
    OK(login(session, CKU_SO, so_pin));
    MUST(state_of(session) == CKS_RW_SO_FUNCTIONS);
    EXPECT(CKR_PIN_LEN_RANGE, p11->C_InitPIN(session, text(first_pin), 1));
    OK(p11->C_InitPIN(session, text(first_pin), strlen(first_pin)));
    OK(p11->C_Logout(session));

    EXPECT(CKR_PIN_INCORRECT, login(session, CKU_USER, pin));
    OK(login(session, CKU_USER, first_pin));
    MUST(state_of(session) == CKS_RW_USER_FUNCTIONS);
    EXPECT(CKR_USER_ALREADY_LOGGED_IN, login(session, CKU_USER, first_pin));
    EXPECT(CKR_USER_ANOTHER_ALREADY_LOGGED_IN, login(session, CKU_SO, so_pin));
    OK(p11->C_SetPIN(session, text(first_pin), strlen(first_pin), text(pin), strlen(pin)));
    OK(p11->C_Logout(session));
    EXPECT(CKR_PIN_INCORRECT, login(session, CKU_USER, first_pin));

    OK(p11->C_GetTokenInfo(slot, &token));
    MUST(token.flags & CKF_USER_PIN_INITIALIZED);
    MUST(token.flags & CKF_LOGIN_REQUIRED);
    MUST(token.ulSessionCount == 1 || token.ulSessionCount == CK_UNAVAILABLE_INFORMATION);
    OK(p11->C_CloseSession(session));
    EXPECT(CKR_SESSION_HANDLE_INVALID, p11->C_CloseSession(session));
    return slot;
}

static void mechanisms(CK_SLOT_ID slot)
{
    CK_MECHANISM_TYPE list[512];
    CK_MECHANISM_INFO info;
    CK_ULONG count = 0;
    CK_ULONG i;
    int found = 0;
    OK(p11->C_GetMechanismList(slot, NULL, &count));
    MUST(count >= 1 && count <= LENGTH(list));
    OK(p11->C_GetMechanismList(slot, list, &count));
    for (i = 0; i < count; i++) {
        found |= list[i] == CKM_SHA256_HMAC;
    }
    MUST(found);
    OK(p11->C_GetMechanismInfo(slot, CKM_SHA256_HMAC, &info));
    MUST((info.flags & CKF_SIGN) && (info.flags & CKF_VERIFY));
    OK(p11->C_GetMechanismInfo(slot, CKM_GENERIC_SECRET_KEY_GEN, &info));
    MUST(info.flags & CKF_GENERATE);
    EXPECT(CKR_MECHANISM_INVALID,
           p11->C_GetMechanismInfo(slot, CKM_VENDOR_DEFINED | 0x123456, &info));
}

static CK_OBJECT_HANDLE generate(CK_SESSION_HANDLE session)
{
    CK_MECHANISM mechanism = {CKM_GENERIC_SECRET_KEY_GEN, NULL, 0};
    CK_ULONG length = 32;
    unsigned char id[] = {0x01, 0x02};
    CK_OBJECT_HANDLE key = CK_INVALID_HANDLE;
    CK_ATTRIBUTE template[] = {
        {CKA_CLASS, &secret_key, sizeof(secret_key)},
        {CKA_KEY_TYPE, &generic_secret, sizeof(generic_secret)},
        {CKA_VALUE_LEN, &length, sizeof(length)},
        {CKA_LABEL, key_label, sizeof(key_label) - 1},
        {CKA_ID, id, sizeof(id)},
        {CKA_TOKEN, &yes, sizeof(yes)},
        {CKA_PRIVATE, &yes, sizeof(yes)},
        {CKA_SENSITIVE, &yes, sizeof(yes)},
        {CKA_EXTRACTABLE, &no, sizeof(no)},
        {CKA_SIGN, &yes, sizeof(yes)},
        {CKA_VERIFY, &yes, sizeof(yes)},
    };
    OK(p11->C_GenerateKey(session, &mechanism, template, LENGTH(template), &key));
    MUST(key != CK_INVALID_HANDLE);
    return key;
}

static CK_BBOOL boolean(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE key, CK_ATTRIBUTE_TYPE type)
{
    CK_BBOOL value = 2;
    CK_ATTRIBUTE one = attribute(type, &value, sizeof(value));
    OK(p11->C_GetAttributeValue(session, key, &one, 1));
    MUST(one.ulValueLen == sizeof(value) && (value == CK_TRUE || value == CK_FALSE));
    return value;
}

static void attributes(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE key)
{
    unsigned char value[64];
    unsigned char label[64];
    CK_ULONG number = 0;
    CK_ATTRIBUTE several[3];
    CK_ATTRIBUTE one = attribute(CKA_KEY_TYPE, &number, sizeof(number));

    OK(p11->C_GetAttributeValue(session, key, &one, 1));
    MUST(number == CKK_GENERIC_SECRET);
    one = attribute(CKA_KEY_GEN_MECHANISM, &number, sizeof(number));
    OK(p11->C_GetAttributeValue(session, key, &one, 1));
    MUST(number == CKM_GENERIC_SECRET_KEY_GEN);
    MUST(boolean(session, key, CKA_SENSITIVE) == CK_TRUE);
    MUST(boolean(session, key, CKA_ALWAYS_SENSITIVE) == CK_TRUE);
    MUST(boolean(session, key, CKA_EXTRACTABLE) == CK_FALSE);
    MUST(boolean(session, key, CKA_NEVER_EXTRACTABLE) == CK_TRUE);
    MUST(boolean(session, key, CKA_LOCAL) == CK_TRUE);
    MUST(boolean(session, key, CKA_PRIVATE) == CK_TRUE);

    /* The value never comes out; its neighbours in the template do. */
    memset(value, 0x5a, sizeof(value));
    several[0] = attribute(CKA_LABEL, label, sizeof(label));
    several[1] = attribute(CKA_VALUE, value, sizeof(value));
    several[2] = attribute(CKA_VALUE_LEN, &number, sizeof(number));
    EXPECT(CKR_ATTRIBUTE_SENSITIVE, p11->C_GetAttributeValue(session, key, several, 3));
    MUST(several[0].ulValueLen == strlen(key_label));
    MUST(memcmp(label, key_label, strlen(key_label)) == 0);
    MUST(several[1].ulValueLen == CK_UNAVAILABLE_INFORMATION);
    MUST(value[0] == 0x5a && value[31] == 0x5a && value[63] == 0x5a);
    MUST(several[2].ulValueLen == sizeof(number) && number == 32);
    one = attribute(CKA_VALUE, NULL, 0);
    EXPECT(CKR_ATTRIBUTE_SENSITIVE, p11->C_GetAttributeValue(session, key, &one, 1));

    one = attribute(CKA_LABEL, NULL, 0);
    OK(p11->C_GetAttributeValue(session, key, &one, 1));
    MUST(one.ulValueLen == strlen(key_label));
    one = attribute(CKA_LABEL, label, 2);
    EXPECT(CKR_BUFFER_TOO_SMALL, p11->C_GetAttributeValue(session, key, &one, 1));
    MUST(one.ulValueLen == CK_UNAVAILABLE_INFORMATION);
    one = attribute(CKA_MODULUS, NULL, 0);
    EXPECT(CKR_ATTRIBUTE_TYPE_INVALID, p11->C_GetAttributeValue(session, key, &one, 1));
    MUST(one.ulValueLen == CK_UNAVAILABLE_INFORMATION);

    one = attribute(CKA_EXTRACTABLE, &yes, sizeof(yes));
    EXPECT(CKR_ATTRIBUTE_READ_ONLY, p11->C_SetAttributeValue(session, key, &one, 1));
    one = attribute(CKA_SENSITIVE, &no, sizeof(no));
    EXPECT(CKR_ATTRIBUTE_READ_ONLY, p11->C_SetAttributeValue(session, key, &one, 1));
    one = attribute(CKA_VALUE, value, 32);
    MUST(p11->C_SetAttributeValue(session, key, &one, 1) != CKR_OK);
    MUST(boolean(session, key, CKA_EXTRACTABLE) == CK_FALSE);
}

/* How many secret keys with this label there are, and the first one. */
static CK_ULONG find(CK_SESSION_HANDLE session, char *label, CK_OBJECT_HANDLE_PTR key)
{
    CK_ATTRIBUTE template[2];
    CK_OBJECT_HANDLE found[4];
    CK_ULONG count = 0;
    CK_ULONG more = 0;
    template[0] = attribute(CKA_CLASS, &secret_key, sizeof(secret_key));
    template[1] = attribute(CKA_LABEL, label, strlen(label));
    OK(p11->C_FindObjectsInit(session, template, LENGTH(template)));
    EXPECT(CKR_OPERATION_ACTIVE, p11->C_FindObjectsInit(session, NULL, 0));
    OK(p11->C_FindObjects(session, found, LENGTH(found), &count));
    OK(p11->C_FindObjects(session, found + count, LENGTH(found) - count, &more));
    MUST(more == 0);
    OK(p11->C_FindObjectsFinal(session));
    EXPECT(CKR_OPERATION_NOT_INITIALIZED, p11->C_FindObjectsFinal(session));
    if (count > 0) {
        *key = found[0];
    }
    return count;
}

static void sign(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE key, unsigned char mac[32])
{
    CK_ULONG length = 32;
    OK(p11->C_SignInit(session, &hmac, key));
    OK(p11->C_Sign(session, message, MESSAGE_LEN, mac, &length));
    MUST(length == 32);
}

static void macs(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE key, unsigned char mac[32])
{
    unsigned char again[64];
    CK_ULONG length = 0;

    EXPECT(CKR_OPERATION_NOT_INITIALIZED,
           p11->C_Sign(session, message, MESSAGE_LEN, again, &length));

    /* One call; asking for the length and a small buffer end nothing. */
    OK(p11->C_SignInit(session, &hmac, key));
    EXPECT(CKR_OPERATION_ACTIVE, p11->C_SignInit(session, &hmac, key));
    OK(p11->C_Sign(session, message, MESSAGE_LEN, NULL, &length));
    MUST(length == 32);
    length = 31;
    EXPECT(CKR_BUFFER_TOO_SMALL, p11->C_Sign(session, message, MESSAGE_LEN, mac, &length));
    MUST(length == 32);
    OK(p11->C_Sign(session, message, MESSAGE_LEN, mac, &length));
    EXPECT(CKR_OPERATION_NOT_INITIALIZED,
           p11->C_Sign(session, message, MESSAGE_LEN, again, &length));

    /* In parts. */
    OK(p11->C_SignInit(session, &hmac, key));
    OK(p11->C_SignUpdate(session, message, 4));
    OK(p11->C_SignUpdate(session, message + 4, MESSAGE_LEN - 4));
    length = sizeof(again);
    OK(p11->C_SignFinal(session, again, &length));
    MUST(length == 32 && memcmp(mac, again, 32) == 0);

    OK(p11->C_VerifyInit(session, &hmac, key));
    OK(p11->C_Verify(session, message, MESSAGE_LEN, mac, 32));
    OK(p11->C_VerifyInit(session, &hmac, key));
    OK(p11->C_VerifyUpdate(session, message, MESSAGE_LEN));
    OK(p11->C_VerifyFinal(session, mac, 32));

    again[31] ^= 1;
    OK(p11->C_VerifyInit(session, &hmac, key));
    EXPECT(CKR_SIGNATURE_INVALID, p11->C_Verify(session, message, MESSAGE_LEN, again, 32));
    OK(p11->C_VerifyInit(session, &hmac, key));
    EXPECT(CKR_SIGNATURE_LEN_RANGE, p11->C_Verify(session, message, MESSAGE_LEN, mac, 31));
    OK(p11->C_VerifyInit(session, &hmac, key));
    EXPECT(CKR_SIGNATURE_INVALID, p11->C_Verify(session, message, MESSAGE_LEN - 1, mac, 32));
    EXPECT(CKR_OPERATION_NOT_INITIALIZED,
           p11->C_Verify(session, message, MESSAGE_LEN, mac, 32));
}

static CK_OBJECT_HANDLE import(CK_SESSION_HANDLE session, void *value, CK_ULONG length)
{
    CK_OBJECT_HANDLE key = CK_INVALID_HANDLE;
    CK_ATTRIBUTE template[8];
    template[0] = attribute(CKA_CLASS, &secret_key, sizeof(secret_key));
    template[1] = attribute(CKA_KEY_TYPE, &generic_secret, sizeof(generic_secret));
    template[2] = attribute(CKA_VALUE, value, length);
    template[3] = attribute(CKA_TOKEN, &no, sizeof(no));
    template[4] = attribute(CKA_SENSITIVE, &no, sizeof(no));
    template[5] = attribute(CKA_EXTRACTABLE, &yes, sizeof(yes));
    template[6] = attribute(CKA_SIGN, &yes, sizeof(yes));
    template[7] = attribute(CKA_VERIFY, &yes, sizeof(yes));
    OK(p11->C_CreateObject(session, template, LENGTH(template), &key));
    return key;
}

static void known_answer(CK_SESSION_HANDLE session, void *value, CK_ULONG value_len, char *data,
                         const char *expected)
{
    CK_OBJECT_HANDLE key = import(session, value, value_len);
    unsigned char read[256];
    unsigned char mac[32];
    char shown[65];
    CK_ULONG length = sizeof(mac);
    CK_ATTRIBUTE one = attribute(CKA_VALUE, read, sizeof(read));
    size_t i;
    OK(p11->C_GetAttributeValue(session, key, &one, 1));
    MUST(one.ulValueLen == value_len && memcmp(read, value, value_len) == 0);
    MUST(boolean(session, key, CKA_LOCAL) == CK_FALSE);
    OK(p11->C_SignInit(session, &hmac, key));
    OK(p11->C_Sign(session, (CK_BYTE_PTR)data, strlen(data), mac, &length));
    for (i = 0; i < sizeof(mac); i++) {
        sprintf(shown + 2 * i, "%02x", mac[i]);
    }
    MUST(length == sizeof(mac) && strcmp(shown, expected) == 0);
    OK(p11->C_DestroyObject(session, key));
    EXPECT(CKR_OBJECT_HANDLE_INVALID, p11->C_DestroyObject(session, key));
}

/* RFC 4231, test cases 6 and 2 (SoftHSM 2 takes no key shorter than the digest). */
static void known_answers(CK_SESSION_HANDLE session)
{
    unsigned char long_key[131];
    char jefe[] = "Jefe";
    char long_data[] = "Test Using Larger Than Block-Size Key - Hash Key First";
    char jefe_data[] = "what do ya want for nothing?";
    memset(long_key, 0xaa, sizeof(long_key));
    known_answer(session, long_key, sizeof(long_key), long_data,
                 "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
    if (with_signet) {
        known_answer(session, jefe, strlen(jefe), jefe_data,
                     "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    }
}

static void digests_and_random(CK_SESSION_HANDLE session)
{
    static const unsigned char start[] = {0xba, 0x78, 0x16, 0xbf};
    CK_MECHANISM sha256 = {CKM_SHA256, NULL, 0};
    unsigned char abc[] = {'a', 'b', 'c'};
    unsigned char digest[32];
    unsigned char other[32];
    CK_ULONG length = sizeof(digest);
    OK(p11->C_DigestInit(session, &sha256));
    OK(p11->C_Digest(session, abc, sizeof(abc), digest, &length));
    MUST(length == sizeof(digest) && memcmp(digest, start, sizeof(start)) == 0);
    OK(p11->C_GenerateRandom(session, digest, sizeof(digest)));
    OK(p11->C_GenerateRandom(session, other, sizeof(other)));
    MUST(memcmp(digest, other, sizeof(other)) != 0);
}

static void logged_out(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE key)
{
    CK_OBJECT_HANDLE found;
    OK(p11->C_Logout(session));
    MUST(state_of(session) == CKS_RW_PUBLIC_SESSION);
    MUST(find(session, key_label, &found) == 0);
    MUST(p11->C_SignInit(session, &hmac, key) != CKR_OK);
}

int main(int argc, char **argv)
{
    CK_SLOT_ID slot;
    CK_SESSION_HANDLE session;
    CK_OBJECT_HANDLE key;
    CK_OBJECT_HANDLE found = CK_INVALID_HANDLE;
    unsigned char mac[32];
    unsigned char again[32];
    void *module;

    if (argc < 2) {
        printf("usage: bank MODULE [signet]\n");
        return 2;
    }
    with_signet = argc > 2 && strcmp(argv[2], "signet") == 0;
    module = load(argv[1]);
#ifdef SIGNET_CK_FUNCTIONS_3_2
    if (with_signet) {
        version_3_2(module);
    }
#endif

    initialise();
    slot = make_token();
    mechanisms(slot);
    session = open_session(slot);
    OK(login(session, CKU_USER, pin));
    key = generate(session);
    attributes(session, key);
    MUST(find(session, key_label, &found) == 1);
    MUST(found == key);
    macs(session, key, mac);
    known_answers(session);
    digests_and_random(session);
    logged_out(session, key);
    OK(p11->C_CloseAllSessions(slot));
    EXPECT(CKR_SESSION_HANDLE_INVALID, p11->C_Logout(session));
    OK(p11->C_Finalize(NULL));

    /* The next day. */
    OK(p11->C_Initialize(NULL));
    slot = slot_of(label_text);
    session = open_session(slot);
    MUST(find(session, key_label, &found) == 0);
    OK(login(session, CKU_USER, pin));
    MUST(find(session, key_label, &found) == 1);
    sign(session, found, again);
    MUST(memcmp(mac, again, sizeof(mac)) == 0);
    OK(p11->C_DestroyObject(session, found));
    MUST(find(session, key_label, &found) == 0);
    OK(p11->C_Finalize(NULL));
    EXPECT(CKR_CRYPTOKI_NOT_INITIALIZED, p11->C_Logout(session));
    dlclose(module);
    printf("done\n");
    return 0;
}
