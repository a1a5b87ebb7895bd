{{- define "landlord.labels" -}}
app.kubernetes.io/name: landlord
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}
{{- define "landlord.selector" -}}
app.kubernetes.io/name: landlord
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}
{{- define "landlord.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}
{{- define "landlord.container" -}}
image: {{ include "landlord.image" . }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: { drop: [ALL] }
volumeMounts:
  - { name: config, mountPath: /etc/landlord/landlord.toml, subPath: landlord.toml, readOnly: true }
  - { name: config, mountPath: /etc/landlord/conf.d/values.toml, subPath: values.toml, readOnly: true }
  - { name: run, mountPath: /run/landlord }
  - { name: state, mountPath: /var/lib/landlord }
  - { name: tmp, mountPath: /tmp }
  - { name: tls, mountPath: /etc/landlord/tls, readOnly: true }
  {{- if .Values.tls.clientCaSecret }}
  - { name: client-ca, mountPath: /etc/landlord/client-ca, readOnly: true }
  {{- end }}
  {{- if .Values.postgresql.passwordSecret }}
  - { name: postgresql, mountPath: /etc/landlord/postgresql, readOnly: true }
  {{- end }}
  {{- if .Values.policiesConfigMap }}
  - { name: policies, mountPath: /etc/landlord/policies, readOnly: true }
  {{- end }}
  {{- if .Values.clusterIssuer.url }}
  - { name: cluster-issuer, mountPath: /etc/landlord/cluster-issuer, readOnly: true }
  {{- end }}
  {{- with .Values.auditExport.claim }}
  - { name: audit, mountPath: /var/lib/landlord/audit }
  {{- end }}
  {{- range .Values.secrets }}
  - { name: {{ printf "secret-%s" . }}, mountPath: {{ printf "/etc/landlord/secrets/%s" . }}, readOnly: true }
  {{- end }}
{{- end }}
{{- define "landlord.pod" -}}
serviceAccountName: {{ .Release.Name }}
automountServiceAccountToken: false
# Kubernetes would set LANDLORDD_PORT for a Service of that name, which landlordd takes for a key of its configuration.
enableServiceLinks: false
{{- with .Values.image.pullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  fsGroup: 65532
  seccompProfile: { type: RuntimeDefault }
volumes:
  - { name: config, configMap: { name: {{ .Release.Name }}, defaultMode: 292 } }
  - { name: run, emptyDir: { medium: Memory } }
  - { name: state, emptyDir: { sizeLimit: {{ .Values.stateSize }} } }
  - { name: tmp, emptyDir: {} }
  - { name: tls, secret: { secretName: {{ .Values.tls.secret }}, defaultMode: 288 } }
  {{- if .Values.tls.clientCaSecret }}
  - { name: client-ca, secret: { secretName: {{ .Values.tls.clientCaSecret }}, defaultMode: 288 } }
  {{- end }}
  {{- if .Values.postgresql.passwordSecret }}
  - { name: postgresql, secret: { secretName: {{ .Values.postgresql.passwordSecret }}, defaultMode: 288 } }
  {{- end }}
  {{- if .Values.policiesConfigMap }}
  - { name: policies, configMap: { name: {{ .Values.policiesConfigMap }}, defaultMode: 292 } }
  {{- end }}
  {{- if .Values.clusterIssuer.url }}
  # What the API server asks of whoever wants its keys; it has no other right.
  - name: cluster-issuer
    projected:
      defaultMode: 288
      sources:
        - serviceAccountToken: { path: token, expirationSeconds: 3600 }
        - configMap: { name: kube-root-ca.crt, items: [{ key: ca.crt, path: ca.crt }] }
  {{- end }}
  {{- with .Values.auditExport.claim }}
  - { name: audit, persistentVolumeClaim: { claimName: {{ . }} } }
  {{- end }}
  {{- range .Values.secrets }}
  - { name: {{ printf "secret-%s" . }}, secret: { secretName: {{ . }}, defaultMode: 288 } }
  {{- end }}
{{- with .Values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
