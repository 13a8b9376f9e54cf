#!/bin/bash
# The main job of Signet, end to end, with a real client: a key that cannot be
# read out, a signature made with it, and its verification.
#
#   examples/demo.sh            builds Signet and shows it
#   examples/demo.sh MODULE     shows the same with another PKCS#11 module
#
# Leaves nothing behind: the token lives in a temporary directory. Stops with a
# non-zero status at the first step that does not do what is written above it.
set -euo pipefail

say() {
    printf '\n%s\n' "$1"
    shift
    [ $# -eq 0 ] || printf '%s\n' "$@"
}

fail() {
    printf '\nThe demonstration stopped: %s\n' "$1" >&2
    exit 1
}

# Shows a command as one would type it, runs it, and shows what it prints.
try() {
    printf '\n  $ %s\n' "$1"
    status=0
    output=$(eval "$1" 2>&1) || status=$?
    [ -z "$output" ] || sed '/^$/d; s/^/    /' <<<"$output"
}

# A step that must succeed, and say $2 where that is given.
step() {
    try "$1"
    [ "$status" -eq 0 ] || fail "that command should have succeeded, and ended with status $status."
    grep -qF -- "${2:-}" <<<"$output" || fail "that command should have said \"$2\"."
}

# A step that must be refused with the words $2. pkcs11-tool ends with status 0
# when a signature is wrong, so the words count, and success must not show.
refused() {
    try "$1"
    grep -qF -- "$2" <<<"$output" || fail "that command should have been refused with \"$2\"."
    ! grep -qF 'Signature is valid' <<<"$output" || fail "that command should not have succeeded."
}

# A setting, shown as one would type it and kept for the commands that follow.
setting() {
    printf '\n  $ %s\n' "$1"
    eval "$1"
}

cd "$(dirname "$0")/.."

if [ $# -gt 0 ]; then
    module=$1
else
    say "Building Signet (the first time, this takes a few minutes) ..."
    cargo build --locked --release
    target=$(cargo metadata --locked --no-deps --format-version 1 |
        sed 's/.*"target_directory":"\([^"]*\)".*/\1/')
    module=$target/release/libsignet_pkcs11.so
fi
[ -f "$module" ] || fail "there is no module at $module."
module=$(realpath "$module")

directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
cd "$directory"
mkdir --mode=700 tokens
# Nothing of the caller's own settings plays a part.
for variable in "${!SIGNET_@}"; do unset "$variable"; done
# Only for other modules: SoftHSM2 takes its directory from this file.
echo "directories.tokendir = $directory/tokens" >softhsm2.conf
export SOFTHSM2_CONF=$directory/softhsm2.conf

say "1. The module." \
    "Signet is a library that other programs load when keys should be kept and used for" \
    "them: a PKCS#11 module. pkcs11-tool, from the OpenSC project, is such a program." \
    "The keys live in a directory; here, one that is removed at the end."
setting "export MODULE=$module"
setting "export SIGNET_TOKENDIR=$directory/tokens"

say "2. A token, a place for keys, with two secrets: the security officer's PIN, who" \
    "manages the token, and the user's PIN, who uses the keys."
step 'pkcs11-tool --module $MODULE --init-token --slot-index 0 --label demo --so-pin 87654321' \
    'Token successfully initialized'
step 'pkcs11-tool --module $MODULE --token-label demo --login --login-type so --so-pin 87654321 --init-pin --new-pin 123456' \
    'User PIN successfully initialized'

say "3. An HMAC key of 32 bytes, made inside the token. It is sensitive and not extractable:" \
    "programs may use it; nobody gets to see it. (pkcs11-tool asks for the value of every" \
    "key that it shows; its warning is the refusal. Of a secret key's uses it names verifying" \
    "and passes over signing.)"
step 'pkcs11-tool --module $MODULE --token-label demo --login --pin 123456 --keygen --key-type GENERIC:32 --usage-sign --sensitive --private --label my-key --id 01' \
    'Key generated'
step 'pkcs11-tool --module $MODULE --token-label demo --login --pin 123456 --list-objects' \
    'sensitive, always sensitive, never extractable, local'

say "4. Reading the key out is refused, even with the right PIN ..."
refused 'pkcs11-tool --module $MODULE --token-label demo --login --pin 123456 --read-object --type secrkey --id 01 --output-file stolen.key' \
    'CKR_ATTRIBUTE_SENSITIVE'
[ ! -s stolen.key ] || fail "the key was written to a file."
say "... and so is using it with a wrong one."
refused 'pkcs11-tool --module $MODULE --token-label demo --login --pin 000000 --sign --mechanism SHA256-HMAC --id 01 --input-file message.txt' \
    'CKR_PIN_INCORRECT'

say "5. Signing a message: the module answers with 32 bytes that only this key can make." \
    "(pkcs11-tool asks first for an attribute that only private keys have; hence its warning.)"
step 'echo "Pay 10 to Alice" > message.txt'
step 'pkcs11-tool --module $MODULE --token-label demo --login --pin 123456 --sign --mechanism SHA256-HMAC --id 01 --input-file message.txt --output-file message.mac'
[ "$(wc -c <message.mac)" -eq 32 ] || fail "the signature should have 32 bytes."
step 'od -A n -t x1 message.mac'

say "6. Verifying it ..."
step 'pkcs11-tool --module $MODULE --token-label demo --login --pin 123456 --verify --mechanism SHA256-HMAC --id 01 --input-file message.txt --signature-file message.mac' \
    'Signature is valid'
say "... and a message that somebody changed on the way."
step 'echo "Pay 99 to Mallory" > changed.txt'
refused 'pkcs11-tool --module $MODULE --token-label demo --login --pin 123456 --verify --mechanism SHA256-HMAC --id 01 --input-file changed.txt --signature-file message.mac' \
    'Invalid signature'

say "Done, in $SECONDS seconds. The module stays at $module;" \
    "the demonstration's token is removed."
