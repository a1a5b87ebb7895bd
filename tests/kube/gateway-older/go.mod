// Pins the oldest Gateway API whose manifests tests apply: one without ListenerSet.
module landlord.dev/tests/kube/gateway-older

go 1.22.0

require sigs.k8s.io/gateway-api v1.2.1
