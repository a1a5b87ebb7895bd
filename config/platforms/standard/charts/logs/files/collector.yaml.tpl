{{- $v := .Values -}}
extensions:
  file_storage:
    directory: /state
    create_directory: true
receivers:
  filelog:
    include: [/var/log/pods/*/*/*.log]
    # Its own lines would beget lines.
    exclude:
      - /var/log/pods/{{ .Release.Namespace }}_{{ .Release.Name }}-*/*/*.log
      {{- range $v.excluded }}
      - /var/log/pods/{{ . }}_*/*/*.log
      {{- end }}
    include_file_path: true
    # What was written before it came is sent, too.
    start_at: beginning
    storage: file_storage
    # A line longer than that is cut: no container can fill the memory.
    max_log_size: 256KiB
    max_concurrent_files: 256
    # The store's silence stops the reading, not the sending: nothing is given up.
    retry_on_failure: { enabled: true, max_elapsed_time: 0s }
    operators:
      # Namespace, pod, container and restart from the path that the kubelet chose, never from what a container says.
      - { type: container, id: container, max_log_size: 256KiB }
processors:
  memory_limiter: { check_interval: 1s, limit_percentage: 75, spike_limit_percentage: 20 }
  resource:
    attributes:
      - { key: landlord.installation, value: {{ $v.environment.installation | quote }}, action: upsert }
      - { key: landlord.environment, value: {{ $v.environment.name | quote }}, action: upsert }
      - { key: landlord.environment.uid, value: {{ $v.environment.uid | quote }}, action: upsert }
      {{- with $v.environment.customer }}
      - { key: landlord.customer, value: {{ . | quote }}, action: upsert }
      {{- end }}
      # In a cluster for many: the tenant whose namespace it is, as the attribute landlord_tenant_uid.
      - { key: k8s.namespace.name, pattern: "^tenant-(?P<landlord_tenant_uid>[0-9a-f]{32})$", action: extract }
      - { key: k8s.node.name, value: "${env:NODE_NAME}", action: upsert }
exporters:
  otlp_http:
    endpoint: {{ $v.store.url | quote }}
    {{- if $v.store.valueSecret.name }}
    headers: { {{ $v.store.header }}: "${env:STORE_CREDENTIAL}" }
    {{- end }}
    {{- if $v.store.caSecret.name }}
    tls: { ca_file: /ca/{{ $v.store.caSecret.key }} }
    {{- end }}
    retry_on_failure: { enabled: true, max_interval: 30s, max_elapsed_time: 0s }
    sending_queue:
      storage: file_storage
      sizer: bytes
      queue_size: {{ mul $v.queue.sizeMiB 1048576 }}
      block_on_overflow: true
service:
  telemetry: { metrics: { level: none } }
  extensions: [file_storage]
  pipelines:
    logs: { receivers: [filelog], processors: [memory_limiter, resource], exporters: [otlp_http] }
