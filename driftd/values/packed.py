"""Objects' bytes as they are kept: thousands of them are alike, and each is read a few times in its life.

They are deflated against text that most of them share, so that 500 bytes of a policy become some 60. Source: RFC 1950
section 2.2 (preset dictionaries), RFC 1951.
"""

import zlib
from typing import Final

LARGE: Final = 64 * 1024
"""Bytes from which on an object stays as it is: nobody has thousands of those, and each would hold up the loop."""
_MARK: Final = b"z"
"""Before what is deflated; no JSON begins with it."""
_WINDOW: Final = -13
"""Raw deflate with a window of 8 KiB: the shared text and a policy."""
_MEMORY: Final = 3
_COMMON: Final = (
    b'{"apiVersion":"v1","kind":"Pod","metadata":{"name":"","namespace":"","labels":{"app":"","pod-template-hash":""},'
    b'"ownerReferences":[{"apiVersion":"apps/v1","kind":"ReplicaSet","name":"","uid":"","controller":true}]},"spec":{'
    b'"serviceAccountName":"default","hostNetwork":true,"containers":[{"name":"","ports":[{"name":"http",'
    b'"containerPort":8080,"protocol":"TCP"}]}]},"status":{"phase":"Running","podIP":"10.0.0.1","podIPs":[{"ip":"'
    b'{"apiVersion":"discovery.k8s.io/v1","kind":"EndpointSlice","addressType":"IPv4","endpoints":[{"addresses":["'
    b'"],"conditions":{"ready":true},"targetRef":{"kind":"Pod","name":"kubernetes.io/service-name":"'
    b'{"apiVersion":"v1","kind":"Service","spec":{"clusterIP":"10.96.0.1","type":"ClusterIP","selector":{"app":"'
    b'{"apiVersion":"v1","kind":"Namespace","metadata":{"annotations":{"driftd.dev/model":"namespaces/.yaml#Namespace/'
    b'"creationTimestamp":"20","labels":{"driftd.dev/environment":"","driftd.dev/plan":"","driftd.dev/tenant":"",'
    b'"kubernetes.io/metadata.name":"","pod-security.kubernetes.io/audit":"restricted",'
    b'"pod-security.kubernetes.io/enforce":"baseline","pod-security.kubernetes.io/enforce-version":"latest",'
    b'"pod-security.kubernetes.io/warn":"restricted"},"name":"},"spec":{"finalizers":["kubernetes"]},'
    b'"status":{"phase":"Active"}}{"apiVersion":"v1","automountServiceAccountToken":false,"kind":"ServiceAccount",'
    b'{"apiVersion":"v1","kind":"LimitRange","metadata":{"name":"limits"},"spec":{"limits":[{"default":{"cpu":"500m",'
    b'"memory":"512Mi"},"defaultRequest":{"cpu":"100m","memory":"128Mi"},"type":"Container"}]}}'
    b'{"apiVersion":"v1","kind":"ResourceQuota","metadata":{"name":"quota"},"spec":{"hard":{"limits.cpu":"8",'
    b'"limits.memory":"16Gi","pods":"50","requests.cpu":"4","requests.memory":"8Gi","services.loadbalancers":"0",'
    b'"services.nodeports":"0"}},"status":{"hard":{"limits.cpu":"8","limits.memory":"16Gi","pods":"50",'
    b'"requests.cpu":"4","requests.memory":"8Gi"},"used":{"limits.cpu":"0","limits.memory":"0","pods":"0",'
    b'"requests.cpu":"0","requests.memory":"0"}}}{"apiVersion":"projectcalico.org/v3","kind":"NetworkPolicy",'
    b'"spec":{"egress":[{"action":"Allow","destination":{"namespaceSelector":"projectcalico.org/name == \'","ports":['
    b'"selector":"app == \'"},"protocol":"TCP","source":{"nets":["0.0.0.0/0"]}},{"action":"Deny"}],"order":1000,'
    b'"tier":"driftd","types":["Ingress","Egress"]}}{"apiVersion":"networking.k8s.io/v1","kind":"NetworkPolicy",'
    b'"metadata":{"name":"default-deny","namespace":"","uid":"-4","resourceVersion":"1","generation":1,'
    b'"creationTimestamp":"20","annotations":{"driftd.dev/epoch":"1","driftd.dev/model":"environments/.yaml'
    b'#Environment/"},"name":"-ingress","namespace":""},"spec":{"egress":[{"ports":[{"port":53,"protocol":"TCP"},'
    b'{"port":53,"protocol":"UDP"}],"to":[{"namespaceSelector":{"matchLabels":{"kubernetes.io/metadata.name":'
    b'"kube-system"}},"podSelector":{"matchLabels":{"k8s-app":"kube-dns"}}}]},{"ports":[{"port":443,"protocol":"TCP"}],'
    b'"to":[{"ipBlock":{"cidr":"0.0.0.0/0","except":["0.0.0.0/8","10.0.0.0/8","100.64.0.0/10","127.0.0.0/8",'
    b'"169.254.0.0/16","172.16.0.0/12","192.168.0.0/16","198.18.0.0/15","224.0.0.0/4","240.0.0.0/4"]}}]},'
    b'{"from":[{"namespaceSelector":{"matchLabels":{"kubernetes.io/metadata.name":"ingress"}},"podSelector":{'
    b'"matchLabels":{"app":"proxy"}}}],"ports":[{"port":8080,"protocol":"TCP"}]},{"ports":[{"port":5432,'
    b'"protocol":"TCP"}],"to":[{"podSelector":{"matchLabels":{"app":"db"}}}]}],"ingress":[{"from":[{"podSelector":{'
    b'"matchLabels":{"app":"api"}}}],"ports":[{"port":6379,"protocol":"TCP"}]}],"podSelector":{"matchLabels":{"app":"'
    b'"}},"policyTypes":["Ingress","Egress"]}}'
)
"""What canonical and live objects have in common; the commonest comes last, where it is cheapest to point to."""
_DEFLATE: Final = zlib.compressobj(1, zlib.DEFLATED, _WINDOW, _MEMORY, zlib.Z_DEFAULT_STRATEGY, _COMMON)
_INFLATE: Final = zlib.decompressobj(_WINDOW, _COMMON)


def pack(raw: bytes) -> bytes:
    """An object's bytes to be kept; the same for the same."""
    if len(raw) >= LARGE and not raw.startswith(_MARK):
        return raw
    deflate = _DEFLATE.copy()
    return b"".join((_MARK, deflate.compress(raw), deflate.flush()))


def unpack(kept: bytes) -> bytes:
    """The reverse of `pack`; what was not packed stays as it is."""
    return _INFLATE.copy().decompress(memoryview(kept)[1:]) if kept.startswith(_MARK) else kept
