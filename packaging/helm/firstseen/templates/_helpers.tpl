{{- define "firstseen.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "firstseen.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" -}}
{{- else if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "firstseen.selector" -}}
app.kubernetes.io/name: {{ include "firstseen.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "firstseen.labels" -}}
{{ include "firstseen.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- end -}}

{{- define "firstseen.secret" -}}
{{- default (include "firstseen.fullname" .) .Values.http.existingSecret -}}
{{- end -}}

{{- define "firstseen.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "firstseen.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "firstseen.toml.key" -}}
{{- if regexMatch "^[A-Za-z0-9_-]+$" . }}{{ . }}{{ else }}{{ toJson . }}{{ end -}}
{{- end -}}

{{/* A value in TOML. What JSON writes is TOML but for objects: those become inline tables. */}}
{{- define "firstseen.toml.value" -}}
{{- if kindIs "map" . -}}
{ {{- range $index, $key := keys . | sortAlpha }}{{ if $index }}, {{ end }}{{ include "firstseen.toml.key" $key }} = {{ include "firstseen.toml.value" (get $ $key) }}{{ end -}} }
{{- else if kindIs "slice" . -}}
[ {{- range $index, $item := . }}{{ if $index }}, {{ end }}{{ include "firstseen.toml.value" $item }}{{ end -}} ]
{{- else -}}
{{ toJson . }}
{{- end -}}
{{- end -}}

{{/* The configuration: what the chart sets, and over it what the values say. */}}
{{- define "firstseen.config" -}}
{{- $paths := list -}}
{{- if .Values.rules.shipped }}{{ $paths = append $paths "/etc/firstseen/rules" }}{{ end -}}
{{- if .Values.rules.files }}{{ $paths = append $paths "/etc/firstseen/own/rules" }}{{ end -}}
{{- if not $paths }}{{ fail "no rules: set rules.shipped, or put some into rules.files" }}{{ end -}}
{{- $exceptions := list -}}
{{- if .Values.exceptions.files }}{{ $exceptions = list "/etc/firstseen/own/exceptions" }}{{ end -}}
{{- $host := ternary "127.0.0.1" "0.0.0.0" (eq .Values.mode "sidecar") -}}
{{- $own := dict
  "input" (dict "listen" (list (printf "%s:24225" $host)))
  "rules" (dict "paths" $paths "exceptions" $exceptions)
  "state" (dict "path" "/var/lib/firstseen")
  "http" (dict "listen" "0.0.0.0:24226" "token_file" "/etc/firstseen/own/http/token")
  "log" (dict "format" "json")
-}}
{{- range $section, $settings := mustMergeOverwrite $own (deepCopy .Values.config) }}
[{{ $section }}]
{{- if kindIs "string" $settings }}
{{ trim $settings }}
{{- else }}
{{- range $key, $value := $settings }}
{{ include "firstseen.toml.key" $key }} = {{ include "firstseen.toml.value" $value }}
{{- end }}
{{- end }}
{{ end -}}
{{- end -}}

{{/* Whether the input asks clients for a shared key or for certificates; empty where it does not. */}}
{{- define "firstseen.asks" -}}
{{- $input := default dict .Values.config.input -}}
{{- if kindIs "string" $input -}}
{{- if regexMatch `(?m)^[^#\n]*\b(shared_key|shared_key_file|client_ca)\s*=\s*["'][^"']` $input }}yes{{ end -}}
{{- else if or $input.shared_key $input.shared_key_file (dig "tls" "client_ca" "" $input) -}}
yes
{{- end -}}
{{- end -}}

{{- define "firstseen.image" -}}
{{- $image := .Values.image -}}
{{- if $image.digest -}}
{{ $image.repository }}@{{ $image.digest }}
{{- else -}}
{{ $image.repository }}:{{ default .Chart.AppVersion $image.tag }}
{{- end -}}
{{- end -}}

{{/* Pods are made anew when what they read at the start is another. */}}
{{- define "firstseen.checksum" -}}
{{- list (include "firstseen.config" .) .Values.rules.files .Values.exceptions.files | toJson | sha256sum -}}
{{- end -}}

{{/* The container, without what tells a sidecar from others. */}}
{{- define "firstseen.container" -}}
name: firstseen
image: {{ include "firstseen.image" . | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
args: ["run", "-c", "/etc/firstseen/own/firstseen.toml"]
securityContext:
  {{- toYaml .Values.securityContext | nindent 2 }}
ports:
  - name: forward
    containerPort: 24225
  - name: http
    containerPort: 24226
{{- with .Values.env }}
env:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.envFrom }}
envFrom:
  {{- toYaml . | nindent 2 }}
{{- end }}
resources:
  {{- toYaml .Values.resources | nindent 2 }}
startupProbe:
  httpGet: {path: /livez, port: http}
  periodSeconds: 5
  failureThreshold: {{ div (add .Values.startupSeconds 4) 5 }}
livenessProbe:
  httpGet: {path: /livez, port: http}
  periodSeconds: 20
  timeoutSeconds: 10
  failureThreshold: 3
volumeMounts:
  - name: firstseen-config
    mountPath: /etc/firstseen/own
    readOnly: true
  - name: firstseen-state
    mountPath: /var/lib/firstseen
  {{- with .Values.extraVolumeMounts }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}

{{- define "firstseen.readinessProbe" -}}
readinessProbe:
  httpGet: {path: /readyz, port: http}
  periodSeconds: 10
  timeoutSeconds: 5
{{- end -}}

{{/*
The configuration, the token, rules and exceptions in one volume, which is root's. Pods of this chart are in its group,
by fsGroup. Of the pod around a sidecar nothing is known: there the files are for all to read who have the volume, and
that is the agent's container alone.
*/}}
{{- define "firstseen.configVolume" -}}
name: firstseen-config
projected:
  defaultMode: {{ ternary "0444" "0440" (eq .Values.mode "sidecar") }}
  sources:
    - configMap:
        name: {{ include "firstseen.fullname" . }}
        items:
          - {key: firstseen.toml, path: firstseen.toml}
    - secret:
        name: {{ include "firstseen.secret" . }}
        items:
          - {key: {{ .Values.http.key | quote }}, path: http/token}
    {{- with .Values.rules.files }}
    - configMap:
        name: {{ include "firstseen.fullname" $ }}-rules
        items:
          {{- range $name, $_ := . }}
          - {key: {{ $name | quote }}, path: {{ printf "rules/%s" $name | quote }}}
          {{- end }}
    {{- end }}
    {{- with .Values.exceptions.files }}
    - configMap:
        name: {{ include "firstseen.fullname" $ }}-exceptions
        items:
          {{- range $name, $_ := . }}
          - {key: {{ $name | quote }}, path: {{ printf "exceptions/%s" $name | quote }}}
          {{- end }}
    {{- end }}
{{- end -}}

{{/*
For the pods of another chart, which calls them with this one's scope, .Subcharts.firstseen:
an entry of initContainers, entries of volumes, and an annotation.
*/}}
{{- define "firstseen.sidecar" -}}
- {{ include "firstseen.container" . | nindent 2 | trim }}
  restartPolicy: Always
  {{- if .Values.sidecar.readinessProbe }}
  {{- include "firstseen.readinessProbe" . | nindent 2 }}
  {{- end }}
{{- end -}}

{{- define "firstseen.sidecar.volumes" -}}
{{- if not .Values.sidecar.stateVolume }}{{ fail "sidecar.stateVolume is needed: a sidecar that forgets with its pod finds everything new after it" }}{{ end -}}
- {{ include "firstseen.configVolume" . | nindent 2 | trim }}
- name: firstseen-state
  {{- toYaml .Values.sidecar.stateVolume | nindent 2 }}
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "firstseen.sidecar.annotations" -}}
checksum/firstseen: {{ include "firstseen.checksum" . }}
{{- end -}}

{{/* Who may get in, as peers of a NetworkPolicy; every pod of the namespace where none are given. */}}
{{- define "firstseen.peers" -}}
{{- if . -}}
{{ toYaml . }}
{{- else -}}
- podSelector: {}
{{- end -}}
{{- end -}}
