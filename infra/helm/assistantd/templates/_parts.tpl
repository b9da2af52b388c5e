{{/* What parts have in common. Most take a dictionary: "root", and "part" (its name). */}}

{{- define "assistantd.name" -}}
{{- printf "%s-%s" (.root.Release.Name | trunc 40 | trimSuffix "-") .part -}}
{{- end }}

{{- define "assistantd.selector" -}}
app.kubernetes.io/name: assistantd
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .part }}
{{- end }}

{{- define "assistantd.labels" -}}
{{ include "assistantd.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ .root.Chart.Name }}-{{ .root.Chart.Version }}
{{- end }}

{{- define "assistantd.metadata" -}}
name: {{ include "assistantd.name" . }}
namespace: {{ .root.Release.Namespace }}
labels:
  {{- include "assistantd.labels" . | nindent 2 }}
{{- end }}

{{/* Takes "secret", too: of the certificate that a part shows, if it shows one. */}}
{{- define "assistantd.probed" -}}
port: http{{ if .secret }}, scheme: HTTPS{{ end }}
{{- end }}

{{- define "assistantd.certificate" -}}
{{- if .secret }}
- name: {{ .prefix }}_CERTIFICATE
  value: /etc/assistantd/certificate/tls.crt
- name: {{ .prefix }}_KEY
  value: /etc/assistantd/certificate/tls.key
{{- end }}
{{- end }}

{{- define "assistantd.tlsMounts" -}}
{{- if .authorities }}
- { name: authorities, mountPath: /etc/assistantd/authorities, readOnly: true }
{{- end }}
{{- if .certificate }}
- { name: certificate, mountPath: /etc/assistantd/certificate, readOnly: true }
{{- end }}
{{- end }}

{{- define "assistantd.tlsVolumes" -}}
{{- range $name := list "authorities" "certificate" }}
{{- with get $ $name }}
- { name: {{ $name }}, secret: { secretName: {{ . }}, defaultMode: 0440 } }
{{- end }}
{{- end }}
{{- end }}

{{/* Environment variables named ASSISTANTD_… after Services would be taken for settings: no links. */}}
{{- define "assistantd.pod" -}}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with .root.Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: { type: RuntimeDefault }
{{- with .root.Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "assistantd.spread" -}}
topologySpreadConstraints:
  {{- range list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
  - topologyKey: {{ . }}
    maxSkew: 1
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "assistantd.selector" $ | nindent 8 }}
  {{- end }}
{{- end }}

{{/* Takes "target", too: which of the images. */}}
{{- define "assistantd.container" -}}
name: {{ .part }}
image: {{ required "image.registry: where the images are" .root.Values.image.registry }}/assistantd-{{ .target }}:{{ .root.Values.image.tag | default .root.Chart.AppVersion }}
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
{{- end }}

{{- define "assistantd.confined" -}}
allowPrivilegeEscalation: false
privileged: false
readOnlyRootFilesystem: true
capabilities: { drop: [ALL] }
{{- end }}

{{- define "assistantd.secret" -}}
- name: {{ .name }}
  valueFrom:
    secretKeyRef: { name: {{ required (printf "%s.existingSecret: the name of a Secret" .of) .secret }}, key: {{ .key }} }
{{- end }}

{{- define "assistantd.database" -}}
{{ include "assistantd.secret" (dict "name" "ASSISTANTD_DATABASE_URL" "of" "database" "secret" .Values.database.existingSecret "key" .Values.database.key) }}
{{- end }}

{{- define "assistantd.embeddingKey" -}}
{{ include "assistantd.secret" (dict "name" "ASSISTANTD_EMBEDDING_API_KEY" "of" "embeddings" "secret" .Values.embeddings.existingSecret "key" .Values.embeddings.key) }}
{{- end }}

{{- define "assistantd.redis" -}}
{{ include "assistantd.secret" (dict "name" "ASSISTANTD_REDIS_URL" "of" "redis" "secret" .Values.redis.existingSecret "key" .Values.redis.key) }}
{{- end }}

{{/* Where a part answers Prometheus: on a port of its own, which the network's policies leave to who monitors. */}}
{{- define "assistantd.metrics" -}}
- name: {{ . }}_PORT
  value: "9540"
- name: {{ . }}_HOST
  value: 0.0.0.0
{{- end }}

{{/* What API, workers and readers are told. Readers are never asked for a model, and get no key to it. */}}
{{- define "assistantd.environment" -}}
{{- $values := .root.Values -}}
{{ include "assistantd.database" .root }}
{{ include "assistantd.redis" .root }}
- name: ASSISTANTD_MODEL_BASE_URL
  value: {{ required "model.baseUrl: an OpenAI-compatible endpoint, up to and including its /v1" $values.model.baseUrl | quote }}
{{- if ne .part "ingest" }}
{{ include "assistantd.secret" (dict "name" "ASSISTANTD_MODEL_API_KEY" "of" "model" "secret" $values.model.existingSecret "key" $values.model.key) }}
{{- end }}
- name: ASSISTANTD_DRAIN_TIMEOUT
  value: {{ $values.drainTimeout | quote }}
{{ include "assistantd.metrics" "ASSISTANTD_METRICS" }}
{{- if $values.encryption.existingSecret }}
{{ include "assistantd.secret" (dict "name" "ASSISTANTD_ENCRYPTION_KEYS" "of" "encryption" "secret" $values.encryption.existingSecret "key" $values.encryption.key) }}
{{- end }}
{{- if $values.tls.authorities }}
- name: ASSISTANTD_CA_FILE
  value: /etc/assistantd/authorities/ca.crt
{{- end }}
{{- if $values.tls.bucket }}
- name: AWS_CA_BUNDLE
  {{- $_ := required "tls.authorities: that the bucket's certificate comes from" $values.tls.authorities }}
  value: /etc/assistantd/authorities/ca.crt
{{- end }}
{{- if $values.files.url }}
- name: ASSISTANTD_BLOB_URL
  value: {{ $values.files.url | quote }}
{{- with $values.files.endpoint }}
- name: AWS_ENDPOINT_URL_S3
  value: {{ . | quote }}
{{- end }}
{{- with $values.files.region }}
- name: AWS_REGION
  value: {{ . | quote }}
{{- end }}
{{- if $values.files.existingSecret }}
{{- range list "AWS_ACCESS_KEY_ID" "AWS_SECRET_ACCESS_KEY" }}
{{ include "assistantd.secret" (dict "name" . "of" "files" "secret" $values.files.existingSecret "key" .) }}
{{- end }}
{{- end }}
{{- else if not $values.files.existingClaim }}
{{- fail "files.url: a bucket (s3://bucket/prefix), or files.existingClaim: a claim that all nodes can mount at once" }}
{{- end }}
{{- if or $values.embedder.enabled $values.embeddings.baseUrl }}
- name: ASSISTANTD_EMBEDDING_BASE_URL
  value: {{ $values.embeddings.baseUrl | default (printf "http://%s.%s.svc:8200/v1" (include "assistantd.name" (dict "root" .root "part" "embedder")) .root.Release.Namespace) | quote }}
{{ include "assistantd.embeddingKey" .root }}
{{- $own := dict }}
{{- if $values.embedder.enabled }}
{{- $own = dict "MODEL" "all-minilm-l6-v2" "WINDOW" "200" }}
{{- end }}
{{- if $values.embeddings.baseUrl }}
{{- $own = dict "MODEL" (required "embeddings.model: what the endpoint calls it" $values.embeddings.model) }}
{{- end }}
{{- range $name, $value := merge (dict) $values.embeddings.settings $own }}
- name: ASSISTANTD_EMBEDDING_{{ $name }}
  value: {{ $value | quote }}
{{- end }}
{{- end }}
{{- with $values.reranker }}
{{- if .baseUrl }}
- name: ASSISTANTD_RERANKER_BASE_URL
  value: {{ .baseUrl | quote }}
- name: ASSISTANTD_RERANKER_MODEL
  value: {{ required "reranker.model: what the endpoint calls it" .model | quote }}
{{- if .existingSecret }}
{{ include "assistantd.secret" (dict "name" "ASSISTANTD_RERANKER_API_KEY" "of" "reranker" "secret" .existingSecret "key" .key) }}
{{- end }}
{{- end }}
{{- end }}
{{- with $values.traces }}
{{- if .endpoint }}
- name: OTEL_EXPORTER_OTLP_ENDPOINT
  value: {{ .endpoint | quote }}
{{- if .existingSecret }}
{{ include "assistantd.secret" (dict "name" "OTEL_EXPORTER_OTLP_HEADERS" "of" "traces" "secret" .existingSecret "key" .key) }}
{{- end }}
{{- range $name, $value := .settings }}
- name: OTEL_{{ $name }}
  value: {{ $value | quote }}
{{- end }}
{{- end }}
{{- end }}
{{- range $name, $value := $values.settings }}
- name: ASSISTANTD_{{ $name }}
  value: {{ $value | quote }}
{{- end }}
{{- end }}

{{/* /data for files where there is no bucket, /tmp always: on disk, for readers copy files there. */}}
{{- define "assistantd.mounts" -}}
- { name: tmp, mountPath: /tmp }
- { name: data, mountPath: /data }
{{- end }}

{{- define "assistantd.volumes" -}}
- name: tmp
  emptyDir: { sizeLimit: {{ .tmp }} }
- name: data
  {{- if .root.Values.files.url }}
  emptyDir: { sizeLimit: 100Mi }
  {{- else }}
  persistentVolumeClaim: { claimName: {{ .root.Values.files.existingClaim }} }
  {{- end }}
{{- end }}

{{/* Addresses of the sandbox's pods: each by its own name, since a session lives in one of them. */}}
{{- define "assistantd.sandboxes" -}}
{{- $name := include "assistantd.name" (dict "root" . "part" "sandbox") -}}
{{- $scheme := "http" -}}
{{- if .Values.tls.sandbox -}}
{{- $scheme = "https" -}}
{{- $_ := required "tls.authorities: that workers know the sandbox by" .Values.tls.authorities -}}
{{- end -}}
{{- $urls := list -}}
{{- range until (int .Values.sandbox.replicas) -}}
{{- $urls = append $urls (printf "%s://%s-%d.%s.%s.svc:8100" $scheme $name . $name $.Release.Namespace) -}}
{{- end -}}
{{- join "," $urls -}}
{{- end }}

{{- define "assistantd.sandboxSecret" -}}
{{ include "assistantd.secret" (dict "name" "ASSISTANTD_SANDBOX_SECRET" "of" "sandbox" "secret" .Values.sandbox.existingSecret "key" .Values.sandbox.key) }}
{{- end }}
