{{/* What driftd governs: the one list behind its rights, its fence and its bounds. `delete` where the world is closed. */}}
{{- define "driftd.governed" -}}
- {group: networking.k8s.io, resources: [networkpolicies], delete: true}
- {group: "", resources: [resourcequotas, limitranges], delete: true}
- {group: "", resources: [namespaces, serviceaccounts], delete: false}
{{- if .Values.calico.governed }}
{{- range tuple "projectcalico.org" "crd.projectcalico.org" }}
- {group: {{ . }}, resources: [globalnetworkpolicies, globalnetworksets, networkpolicies, networksets], delete: true}
- {group: {{ . }}, resources: [tiers], delete: false}
{{- end }}
{{- end }}
{{- end }}

{{/* A governed resource as the bounds name it: networkpolicies.networking.k8s.io, namespaces. Comma-separated. */}}
{{- define "driftd.governedNames" -}}
{{- $names := list -}}
{{- range $one := fromYamlArray (include "driftd.governed" .) -}}
{{- range $one.resources -}}
{{- $names = append $names (squote (ternary . (printf "%s.%s" . $one.group) (eq $one.group ""))) -}}
{{- end -}}
{{- end -}}
{{- join ", " $names -}}
{{- end }}

{{/* The same of the open kinds, which driftd never deletes. */}}
{{- define "driftd.openNames" -}}
{{- $names := list -}}
{{- range $one := fromYamlArray (include "driftd.governed" .) -}}
{{- if not $one.delete -}}
{{- range $one.resources -}}
{{- $names = append $names (squote (ternary . (printf "%s.%s" . $one.group) (eq $one.group ""))) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- join ", " $names -}}
{{- end }}

{{- define "driftd.user" -}}
system:serviceaccount:{{ .Release.Namespace }}:driftd
{{- end }}

{{/* CEL: whether variables.home is protected. */}}
{{- define "driftd.protected" -}}
{{- $exact := list -}}
{{- $tests := list -}}
{{- range .Values.protectedNamespaces -}}
{{- if hasSuffix "*" . -}}
{{- $tests = append $tests (printf "variables.home.startsWith('%s')" (trimSuffix "*" .)) -}}
{{- else -}}
{{- $exact = append $exact (squote .) -}}
{{- end -}}
{{- end -}}
{{- if $exact -}}
{{- $tests = append $tests (printf "variables.home in [%s]" (join ", " $exact)) -}}
{{- end -}}
{{- join " || " $tests -}}
{{- end }}

{{/* CEL: whether `key` is a Namespace label that driftd may change. */}}
{{- define "driftd.ownLabel" -}}
{{- $exact := list -}}
{{- $prefixes := list -}}
{{- range .Values.namespaceLabels -}}
{{- if hasSuffix "/" . -}}
{{- $prefixes = append $prefixes (squote .) -}}
{{- else -}}
{{- $exact = append $exact (squote .) -}}
{{- end -}}
{{- end -}}
(key in [{{ join ", " $exact }}] || [{{ join ", " $prefixes }}].exists(prefix, key.startsWith(prefix)))
{{- end }}

{{/* Settings as environment: nested maps become DRIFTD_A__B. Takes (dict "prefix" "DRIFTD" "tree" {...}). */}}
{{- define "driftd.env" -}}
{{- $prefix := .prefix -}}
{{- range $key, $value := .tree -}}
{{- $name := printf "%s%s" $prefix (upper $key) -}}
{{- if kindIs "map" $value }}
{{- include "driftd.env" (dict "prefix" (printf "%s__" $name) "tree" $value) }}
{{- else }}
- {name: {{ $name }}, value: {{ ternary $value (toJson $value) (kindIs "string" $value) | quote }}}
{{- end }}
{{- end }}
{{- end }}

{{- define "driftd.postgres" -}}
{{- if or .Values.store.url .Values.store.urlSecret.name }}yes{{ end -}}
{{- end }}

{{/* Whether there is a claim: for one replica, which alone may hold it, whichever database it has. */}}
{{- define "driftd.claim" -}}
{{- if and .Values.store.volume.persistent (eq (int .Values.replicas) 1) }}yes{{ end -}}
{{- end }}

{{/* TCP ports of the outside that these values name: PostgreSQL, git, PagerDuty, a collector, Alertmanagers, a proxy. A JSON list. */}}
{{- define "driftd.outsidePorts" -}}
{{- $usual := dict "postgresql" "5432" "postgresql+asyncpg" "5432" "ssh" "22" "http" "80" "https" "443" -}}
{{- $settings := .Values.settings -}}
{{- $secret := .Values.secretSettings -}}
{{- $urls := list .Values.store.url (dig "store" "url" "" $settings) (dig "telemetry" "otlp_endpoint" "" $settings) -}}
{{- $urls = concat $urls (dig "paging" "alertmanager_urls" list $settings) -}}
{{- range $name := list "OTEL_EXPORTER_OTLP_ENDPOINT" "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT" -}}
{{- $urls = append $urls (get $.Values.env $name) -}}
{{- end -}}
{{- with dig "model" "git" "url" "" $settings -}}
{{- $urls = append $urls (ternary . "ssh://git" (contains "://" .)) -}}
{{- end -}}
{{- range $name := list "HTTP_PROXY" "HTTPS_PROXY" -}}
{{- with get $.Values.env $name -}}
{{- $urls = append $urls (ternary . (printf "http://%s" .) (contains "://" .)) -}}
{{- end -}}
{{- end -}}
{{- $paging := dig "paging" dict $settings -}}
{{- $keys := list (get $paging "pagerduty_key") (get $paging "pagerduty_key_file") -}}
{{- range $route := dig "routes" list $paging -}}
{{- $keys = concat $keys (list (get $route "pagerduty_key") (get $route "pagerduty_key_file")) -}}
{{- end -}}
{{- range $name := list "DRIFTD_PAGING__PAGERDUTY_KEY" "DRIFTD_PAGING__ROUTES" -}}
{{- $keys = append $keys (get $secret $name) -}}
{{- end -}}
{{- if compact $keys -}}
{{- $urls = append $urls (get $paging "pagerduty_url" | default "https://events.pagerduty.com") -}}
{{- end -}}
{{- $ports := list -}}
{{- range $url := compact $urls -}}
{{- $parsed := urlParse $url -}}
{{- $said := regexFind ":[0-9]+$" $parsed.host | trimPrefix ":" -}}
{{- $ports = append $ports ($said | default (get $usual $parsed.scheme) | int) -}}
{{- end -}}
{{- if .Values.store.urlSecret.name -}}
{{- $ports = append $ports 5432 -}}
{{- end -}}
{{- $unseen := dict "DRIFTD_STORE__URL" (list 5432) "DRIFTD_MODEL__GIT__URL" (list 22 443) "DRIFTD_TELEMETRY__OTLP_ENDPOINT" (list 4318) -}}
{{- $unseen = merge $unseen (dict "OTEL_EXPORTER_OTLP_ENDPOINT" (list 4318) "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT" (list 4318)) -}}
{{- $unseen = merge $unseen (dict "DRIFTD_PAGING__ALERTMANAGER_URLS" (list 9093) "HTTP_PROXY" (list 3128) "HTTPS_PROXY" (list 3128)) -}}
{{- range $name, $likely := $unseen -}}
{{- if hasKey $secret $name -}}
{{- $ports = concat $ports $likely -}}
{{- end -}}
{{- end -}}
{{- $ports | uniq | sortAlpha | toJson -}}
{{- end }}

{{- define "driftd.labels" -}}
app.kubernetes.io/name: driftd
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
{{- end }}

{{- define "driftd.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end }}
