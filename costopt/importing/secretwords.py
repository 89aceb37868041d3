"""What keys, cookies and headers are called in logs, and what they look like: the one table of both.

Sources of the shapes: keys as the providers hand them out (OpenAI and Anthropic `sk-`, Groq `gsk_`, xAI `xai-`, Google
`AIza`, AWS `AKIA`, GitHub `ghp_`, Hugging Face `hf_`), RFC 9110 (`Authorization`), RFC 7519 (JWT).
"""

from __future__ import annotations

import re

WITHHELD = "[withheld]"
_SQUEEZE = str.maketrans("", "", "-_ .:")

#: Names without marks and capitals: objects of headers, then single fields. No API has a field of such a name that
#: is part of what a model reads.
_NAMES = frozenset(
    {
        "headers",
        "httpheaders",
        "extraheaders",
        "defaultheaders",
        "additionalheaders",
        "requestheaders",
        "responseheaders",
        "authorization",
        "proxyauthorization",
        "cookie",
        "cookies",
        "setcookie",
        "bearer",
        "bearertoken",
        "accesstoken",
        "authtoken",
        "xauthtoken",
        "apikey",
        "xapikey",
        "xlitellmapikey",
        "googapikey",
        "xgoogapikey",
        "ocpapimsubscriptionkey",
        "apitoken",
        "authorizationtoken",
        "secretkey",
        "clientsecret",
        "openaiapikey",
        "anthropicapikey",
        "azureadtoken",
        "awsaccesskeyid",
        "awssecretaccesskey",
        "awssessiontoken",
        "xamzsecuritytoken",
        "vertexcredentials",
    }
)
#: How other names of secrets end.
_ENDS = (
    *("headers", "header", "hdrs", "authorization", "auth", "cookie", "cookies", "bearer", "token"),
    *("secret", "password", "passwd", "passphrase", "credential", "credentials", "keyid", "signature"),
    *("apikey", "accesskey", "secretkey", "privatekey", "authkey", "masterkey", "virtualkey", "licensekey"),
    *("signingkey", "encryptionkey", "accountkey", "subscriptionkey", "functionskey", "sshkey"),
)

_ALONE = r"(?<![A-Za-z0-9])"
_VALUE = r"[\w.~+/=*%:-]"
#: Between a name and its value: `name: value`, `name=value`, `"name", "value"`, `"name", "value": "value"`.
_IS = r"(?:[:=]|(?<=[\"']),\s{0,4}(?:[\"'\\]{1,4}value[\"'\\]{1,4}\s{0,4}:)?)"
_FIELDS = (
    r"authorization|api[-_ ]?key|access[-_ ]?key(?:[-_ ]?id)?|secret(?:[-_ ]?key)?|private[-_ ]?key|password|passwd"
    r"|passphrase|credentials?|token|bearer|signature|[-_]auth|[-_]key"
)
#: Texts that are keys, or say one; case counts only where the table says so.
_SHAPES = re.compile(
    "|".join(
        (
            # `Cookie: a=b; c=d`, to the end of the line
            rf"(?i:cookie2?[\"'\\]{{0,4}}\s{{0,4}}{_IS})[^\r\n]*",
            # `Authorization: Bearer abc`, `"x-api-key": "abc"`, `API key provided: abc`, `?token=abc`
            rf"(?i:(?:{_FIELDS})[\"'\\]{{0,4}}(?:\s{{1,4}}provided)?\s{{0,4}}{_IS}\s{{0,4}}[\"'\\]{{0,4}}"
            r"(?:(?:bearer|basic|digest|token|apikey|key)\s{1,4})?[^\s\"',;&\\]+)",
            # `x-api-key abc`
            rf"(?i:\bx-[\w-]{{0,40}}(?:key|token|auth|secret))\s{{1,4}}(?=\S{{0,80}}[A-Z0-9]){_VALUE}{{6,}}",
            rf"{_ALONE}(?i:bearer)\s{{1,4}}{_VALUE}{{4,}}",
            rf"{_ALONE}(?i:basic)\s{{1,4}}(?=\S{{0,80}}[A-Z0-9=]){_VALUE}{{6,}}",
            # keys by their beginnings
            rf"{_ALONE}(?i:[sr]k[-_]|pk-lf-){_VALUE}{{4,}}",
            rf"{_ALONE}(?:gsk_|csk-|xai-|hf_|r8_|pplx-|nvapi-|tvly-|lsv2_|jina_|gh[opusr]_|github_pat_|glpat-)[\w-]{{8,}}",
            rf"{_ALONE}(?:xox[abeprs]-|AIza|ya29\.|dop_v1_|fw_)[\w-]{{8,}}",
            rf"{_ALONE}(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{{8,}}",
            rf"{_ALONE}eyJ[\w-]{{5,}}\.[\w-]+(?:\.[\w-]*){{0,3}}",
            r"-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----[^\"]*",
            # `https://user:password@host`
            r"(?<=://)[^/\s@\"']{1,200}@",
        )
    )
)


def is_secret(name: str) -> bool:
    """Whether a field of this name is a header or holds a key, wherever it stands."""
    return name.translate(_SQUEEZE).lower() in _NAMES


def may_be_secret(name: str) -> bool:
    """The same of names outside of what a provider's API takes: in tags and metadata."""
    plain = name.translate(_SQUEEZE).lower()
    return plain in _NAMES or plain.endswith(_ENDS) or _is_own_key(name, plain)


def _is_own_key(name: str, plain: str) -> bool:
    """`X-House-Key`: a header of someone's own."""
    return plain.endswith("key") and name[:2].lower() == "x-"


def withheld(told: str) -> str:
    """`told` without what looks like a key."""
    return _SHAPES.sub(WITHHELD, told)


def bare_url(url: str) -> str:
    """A URL without query and user: both may hold keys."""
    bare = url.partition("?")[0].partition("#")[0]
    scheme, slashes, rest = bare.partition("//")
    host, slash, path = rest.partition("/")
    return f"{scheme}{slashes}{host.rpartition('@')[2]}{slash}{path}" if slashes else bare
