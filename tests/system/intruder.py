"""Who comes to a server of a lab with certificates that are none of the site's.

    certificates = Certificates(lab)                 # forged with the key of the site's authority, and without it
    probe(lab, "outside", "web1", 7400, request="status", **certificates.made["expired"])["answer"]
"""

import datetime
import json
import secrets

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from lab import Lab

CLUSTER = "/var/lib/terrace/cluster"
DAY = datetime.timedelta(days=1)

# Run in a machine: one connection, one request; what it was told, as JSON.
PROBE = r"""
import json, socket, ssl, sys, tempfile, time
options = json.loads(sys.argv[1])

def message(value):
    body = json.dumps(value).encode()
    return b"m" + len(body).to_bytes(4, "big") + body

hello = message({"channel": {"from": 1, "to": 1}, "server": options["who"], "program": "0", "time_ms": int(time.time() * 1000)})
http = b"GET /version HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
said, why = b"", ""
try:
    connection = socket.create_connection((options["server"], options["port"]), timeout=5)
    if not options["plain"]:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        if options["port"] == 7400:
            context.set_alpn_protocols(["terrace/1"])
        if options["certificate"]:
            with tempfile.NamedTemporaryFile("w") as file:
                file.write(options["certificate"] + options["key"])
                file.flush()
                context.load_cert_chain(file.name)
        connection = context.wrap_socket(connection)
    if options["port"] == 7400 and not options["plain"]:
        connection.sendall(hello + message({"request": options["request"]}))
    else:
        connection.sendall(http)
    while True:
        some = connection.recv(65536)
        if not some:
            break
        said += some
except OSError as error:
    why = "%s: %s" % (type(error).__name__, error)
print(json.dumps({"said": said.decode("latin-1"), "why": why}))
"""


def named_by(pem: str) -> str:
    subject = x509.load_pem_x509_certificate(pem.encode()).subject
    return subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value


def messages(said: bytes) -> list[str]:
    found = []
    while len(said) >= 5:
        length = int.from_bytes(said[1:5], "big")
        found.append(said[5:5 + length].decode())
        said = said[5 + length:]
    return found


def probe(lab: Lab, on: str, server: str, port: int, certificate: str = "", key: str = "", request: str = "status",
          plain: bool = False) -> dict:
    """`answer` is what came back: on 7400 the answer to the request, without the greeting."""
    who = named_by(certificate) if certificate else ""
    options = {"server": server, "port": port, "who": who, "certificate": certificate, "key": key,
               "request": request, "plain": plain}
    told = json.loads(lab.exec(on, "/usr/bin/python3", "-c", PROBE, json.dumps(options)).stdout)
    answer = told["said"]
    if port == 7400 and not plain:
        answer = "".join(messages(answer.encode("latin-1"))[1:])  # the first one is its greeting
    return {"answer": answer, "why": told["why"]}


class Certificates:
    """`made`: kind to `certificate` and `key`, in PEM."""

    def __init__(self, lab: Lab):
        self.lab = lab
        pem = lab.exec("web1", "cat", CLUSTER + "/authority.pem").stdout.encode()
        authority = x509.load_pem_x509_certificate(pem)
        self.site = authority.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)[0].value
        site = (authority, serialization.load_pem_private_key(pem[pem.index(b"-----BEGIN PRIVATE"):], None))
        foreign = self._foreign_authority()
        self.made = {
            "no certificate": {},
            "foreign": self._make(foreign),
            "self-signed": self._make(None),
            "expired": self._make(site, age=3 * DAY, life=DAY),
            "another site": self._make(site, site="ffffffffffffffff"),
            "good": self._make(site),
        }

    def of(self, server: str, folder: str = CLUSTER) -> dict:
        """The server's own."""
        return {"certificate": self.lab.exec(server, "cat", folder + "/server.crt").stdout,
                "key": self.lab.exec(server, "cat", folder + "/server.key").stdout}

    def of_traffic(self, server: str) -> dict:
        """What its worker holds."""
        return self.of(server, CLUSTER + "/traffic")

    def _foreign_authority(self):
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, self.site),
                          x509.NameAttribute(NameOID.COMMON_NAME, "authority")])
        builder = self._builder(name, name, key, DAY, 10 * DAY)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        return builder.sign(key, hashes.SHA256()), key

    @staticmethod
    def _builder(subject, issuer, key, age, life):
        begin = datetime.datetime.utcnow() - age
        return (x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key.public_key())
                .serial_number(secrets.randbits(120) + 1).not_valid_before(begin).not_valid_after(begin + life)
                .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False))

    def _make(self, issuer, site: str = "", age=DAY, life=3 * DAY) -> dict:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, site or self.site),
                             x509.NameAttribute(NameOID.COMMON_NAME, "web2"),
                             x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, "web")])
        signer, signing_key = issuer or (None, key)
        builder = self._builder(subject, signer.subject if signer else subject, key, age, life)
        usage = x509.KeyUsage(True, False, False, False, False, False, False, False, False)
        authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(signing_key.public_key())
        for extension, critical in (
                (x509.BasicConstraints(ca=False, path_length=None), True), (usage, True), (authority, False),
                (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]), False),
                (x509.SubjectAlternativeName([x509.DNSName("web2"), x509.DNSName("voter.site")]), False)):
            builder = builder.add_extension(extension, critical=critical)
        made = builder.sign(signing_key, hashes.SHA256())
        chain = made.public_bytes(serialization.Encoding.PEM)
        if signer:
            chain += signer.public_bytes(serialization.Encoding.PEM)
        pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                serialization.NoEncryption())
        return {"certificate": chain.decode(), "key": pem.decode()}
