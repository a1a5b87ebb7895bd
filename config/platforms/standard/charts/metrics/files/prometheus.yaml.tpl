{{- $v := .Values -}}
global:
  scrape_interval: {{ $v.interval }}
  evaluation_interval: {{ $v.interval }}
  external_labels:
    landlord_installation: {{ $v.environment.installation | quote }}
    landlord_environment: {{ $v.environment.name | quote }}
    landlord_environment_uid: {{ $v.environment.uid | quote }}
    landlord_customer: {{ $v.environment.customer | quote }}
rule_files: [/etc/prometheus/rules.yaml]
{{- if $v.alerts.receivers }}
alerting:
  alertmanagers:
    - scheme: {{ $v.alerts.scheme }}
      {{- if $v.alerts.tokenSecret.name }}
      authorization: { credentials_file: /etc/prometheus/receiver/{{ $v.alerts.tokenSecret.key }} }
      {{- end }}
      {{- if $v.alerts.caSecret.name }}
      tls_config: { ca_file: /ca/receiver/{{ $v.alerts.caSecret.key }} }
      {{- end }}
      static_configs: [{ targets: {{ $v.alerts.receivers | toJson }} }]
{{- end }}
{{- if $v.remoteWrite.url }}
remote_write:
  - url: {{ $v.remoteWrite.url | quote }}
    {{- if $v.remoteWrite.tokenSecret.name }}
    authorization: { credentials_file: /etc/prometheus/remote-write/{{ $v.remoteWrite.tokenSecret.key }} }
    {{- end }}
    {{- if $v.remoteWrite.caSecret.name }}
    tls_config: { ca_file: /ca/remote-write/{{ $v.remoteWrite.caSecret.key }} }
    {{- end }}
    # One shard sends some thousand samples a second, more than a cluster of this size has.
    queue_config: { max_shards: 4, capacity: 5000, max_samples_per_send: 1000 }
{{- end }}
scrape_configs:
  - job_name: prometheus
    static_configs: [{ targets: ["127.0.0.1:9090"] }]
  - job_name: kube-state-metrics
    # Its series are about other objects: their namespaces and pods are what the labels name.
    honor_labels: true
    static_configs: [{ targets: ["{{ .Release.Name }}-kube-state.{{ .Release.Namespace }}.svc:8080"] }]
  - job_name: node
    kubernetes_sd_configs: [{ role: pod, namespaces: { names: [{{ .Release.Namespace }}] } }]
    relabel_configs:
      - { source_labels: [__meta_kubernetes_pod_label_app_kubernetes_io_name], regex: node-exporter, action: keep }
      - { source_labels: [__meta_kubernetes_pod_node_name], target_label: node }
  {{- range $job, $path := dict "kubelet" "/metrics" "containers" "/metrics/cadvisor" }}
  - job_name: {{ $job }}
    scheme: https
    metrics_path: {{ $path }}
    authorization: { credentials_file: /var/run/secrets/kubernetes.io/serviceaccount/token }
    # Kubelets serve certificates of their own making on most clouds; the token is bound to this pod and reads metrics only.
    tls_config: { insecure_skip_verify: true }
    kubernetes_sd_configs: [{ role: node }]
    relabel_configs:
      - { source_labels: [__meta_kubernetes_node_name], target_label: node }
    metric_relabel_configs:
      # The rest of what a kubelet counts is thousands of series that nobody asks for.
      - source_labels: [__name__]
        regex: up|kubelet_volume_stats_(available|capacity|inodes|inodes_free).*|container_(cpu_usage_seconds_total|memory_working_set_bytes|cpu_cfs_throttled_seconds_total)
        action: keep
  {{- end }}
  - job_name: platform
    kubernetes_sd_configs: [{ role: pod, namespaces: { names: {{ $v.scraped | toJson }} } }]
    relabel_configs:
      - { source_labels: [__meta_kubernetes_pod_annotation_prometheus_io_scrape], regex: "true", action: keep }
      - { source_labels: [__meta_kubernetes_pod_annotation_prometheus_io_path], regex: (.+), target_label: __metrics_path__ }
      - source_labels: [__meta_kubernetes_pod_ip, __meta_kubernetes_pod_annotation_prometheus_io_port]
        regex: (.+);(\d+)
        target_label: __address__
        replacement: $1:$2
      # Not `namespace`: certificates' series say theirs.
      - { source_labels: [__meta_kubernetes_namespace], target_label: pod_namespace }
      - { source_labels: [__meta_kubernetes_pod_name], target_label: pod }
  {{- if and $v.environment.customer $v.documents.services }}
  - job_name: documents
    dns_sd_configs: [{ names: {{ $v.documents.services | toJson }}, type: A, port: 9090 }]
    metric_relabel_configs:
      # Whatever else such a pod may say of itself is its customer's.
      - { source_labels: [__name__], regex: landlord_documents.*, action: keep }
  {{- end }}
  {{- with $v.landlord.targets }}
  - job_name: landlord
    static_configs: [{ targets: {{ . | toJson }} }]
  {{- end }}
