{{- define "landlord.env" -}}
- { name: LANDLORDD_STORE__URL, value: {{ .Values.postgresql.url | quote }} }
{{- if .Values.postgresql.passwordSecret }}
- { name: LANDLORDD_STORE__PASSWORD_FILE, value: {{ printf "/etc/landlord/postgresql/%s" .Values.postgresql.passwordKey | quote }} }
{{- end }}
{{- if .Values.policiesConfigMap }}
- { name: LANDLORDD_AUTH__POLICIES_DIR, value: /etc/landlord/policies }
{{- end }}
- { name: LANDLORDD_SERVER__METRICS_LISTEN, value: "0.0.0.0:9464" }
# The network policy says who reads them.
- { name: LANDLORDD_SERVER__METRICS_OPEN, value: "true" }
{{- end }}
