{{/*
Where the configuration leads, for the NetworkPolicy: ports, each with a comma behind it. One that is in a variable, or in a
section that is text, is not to be seen here, and is to be told of in networkPolicy.egress: a policy that leaves it out cuts
the agent off, and chunks wait for ever.
*/}}
{{- define "firstseen.egress.unseen" -}}
{{- if not .Values.networkPolicy.egress -}}
{{- fail (printf "no port is to be seen in config.%s: say in networkPolicy.egress where it leads" .setting) -}}
{{- end -}}
{{- end -}}

{{/* Of a Forward server, by its address. */}}
{{- define "firstseen.egress.server" -}}
{{- if not (hasPrefix "unix:" .address) -}}
{{- with regexFind ":[0-9]+$" .address }}{{ trimPrefix ":" . }},{{ else }}{{ include "firstseen.egress.unseen" $ }}{{ end -}}
{{- end -}}
{{- end -}}

{{- define "firstseen.egress.output" -}}
{{- $section := default dict .Values.config.output -}}
{{- if kindIs "string" $section -}}
{{- if regexMatch "(?m)^\\s*[\"']?(servers|standby)[\"']?\\s*=" $section }}{{ include "firstseen.egress.unseen" (dict "Values" .Values "setting" "output") }}{{ end -}}
{{- else -}}
{{- range $key := list "servers" "standby" -}}
{{- range $server := index $section $key -}}
{{- if kindIs "map" $server }}{{ $server = get $server "address" }}{{ end -}}
{{- include "firstseen.egress.server" (dict "Values" $.Values "setting" (printf "output.%s" $key) "address" (toString $server)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Sentinels name servers that the url does not: these are taken to listen on Redis' own port. */}}
{{- define "firstseen.egress.state" -}}
{{- $section := default dict .Values.config.state -}}
{{- if kindIs "string" $section -}}
{{- if regexMatch "(?m)^\\s*[\"']?url[\"']?\\s*=" $section }}{{ include "firstseen.egress.unseen" (dict "Values" .Values "setting" "state") }}{{ end -}}
{{- else if get $section "url" -}}
{{- $url := toString (get $section "url") -}}
{{- $sentinels := regexMatch "(?i)^rediss?[+]sentinel:" $url -}}
{{- $places := regexReplaceAll "/.*$" (regexReplaceAll "^([A-Za-z+]+://)?(.*@)?" $url "") "" -}}
{{- range $place := splitList "," $places -}}
{{- if regexMatch ":[0-9]+$" $place }}{{ regexFind "[0-9]+$" $place }},
{{- else if regexMatch "[$}]" $place }}{{ include "firstseen.egress.unseen" (dict "Values" $.Values "setting" "state.url") }}
{{- else }}{{ ternary "26379" "6379" $sentinels }},{{ end -}}
{{- end -}}
{{- if $sentinels }}6379,{{ end -}}
{{- end -}}
{{- end -}}

{{- define "firstseen.egress.log" -}}
{{- $section := default dict .Values.config.log -}}
{{- if kindIs "string" $section -}}
{{- if regexMatch "(?m)^\\s*[\"']?forward[\"']?\\s*=" $section }}{{ include "firstseen.egress.unseen" (dict "Values" .Values "setting" "log") }}{{ end -}}
{{- else -}}
{{- with get $section "forward" -}}
{{- include "firstseen.egress.server" (dict "Values" $.Values "setting" "log.forward" "address" (toString .)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
