{{/*
A value that is null is one that is not set: it gets what values.yaml has, which files/defaults.yaml leads to. Each
template asks for this first. What Kubernetes reads as it is (a securityContext, labels) is not looked into: there
null takes a field out, as everywhere with Helm.
*/}}
{{- define "k8s-spot-handler.defaults" -}}
{{- $defaults := .Files.Get "files/defaults.yaml" | fromYaml -}}
{{- $sections := list "image" "serviceAccount" "rbac" "podMonitor" "prometheusRule" "dashboard" -}}
{{- range $name, $default := $defaults -}}
{{- $value := index $.Values $name -}}
{{- if kindIs "invalid" $value -}}
{{- $_ := set $.Values $name $default -}}
{{- else if has $name $sections -}}
{{- range $part, $default := $default -}}
{{- if kindIs "invalid" (index $value $part) -}}
{{- $_ := set $value $part $default -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "k8s-spot-handler.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "k8s-spot-handler.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- $name := include "k8s-spot-handler.name" . -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "k8s-spot-handler.selectorLabels" -}}
app.kubernetes.io/name: {{ include "k8s-spot-handler.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "k8s-spot-handler.labels" -}}
{{ include "k8s-spot-handler.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- with .Values.customLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "k8s-spot-handler.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "k8s-spot-handler.fullname" .) .Values.serviceAccount.name -}}
{{- else if and .Values.rbac.create (has (default "" .Values.serviceAccount.name) (list "" "default")) -}}
{{- fail "serviceAccount.create is false: say in serviceAccount.name which account is to have the rights; every other pod of the namespace may use \"default\"" -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{/* A tag and a digest: the digest counts. */}}
{{- define "k8s-spot-handler.image" -}}
{{- if hasSuffix "/aws-node-termination-handler" .Values.image.repository -}}
{{- fail "image.repository is that of aws-node-termination-handler: say where the image of k8s-spot-handler is" -}}
{{- end -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
{{- end -}}

{{/* "true" if a value is one of those that the program takes for true. */}}
{{- define "k8s-spot-handler.truth" -}}
{{- if has (toString .) (list "true" "True" "TRUE" "t" "T" "1") -}}true{{- end -}}
{{- end -}}

{{/* A value by its path, as text; lists and maps as the program reads them. Empty if it is unset. */}}
{{- define "k8s-spot-handler.value" -}}
{{- $value := .values -}}
{{- range splitList "." .path -}}
{{- $value = get (default dict $value) . -}}
{{- end -}}
{{- if kindIs "invalid" $value -}}
{{- else if and (kindIs "map" $value) (eq .path "webhookHeaders") -}}
{{- if $value }}{{ toJson $value }}{{ end -}}
{{- else if kindIs "map" $value -}}
{{- $items := list -}}
{{- range $name, $item := $value }}{{ $items = append $items (printf "%s=%v" $name $item) }}{{ end -}}
{{- join "," $items -}}
{{- else if and (kindIs "slice" $value) (not $value) -}}
{{- else -}}
{{- toString $value -}}
{{- end -}}
{{- end -}}

{{/*
What the program is given as this variable, be it by a value or by extraEnv; empty if nothing. Of a source elsewhere
(valueFrom) the chart cannot know what it says, and an address needs no answer: the kubelet then asks the pod's own.
*/}}
{{- define "k8s-spot-handler.effective" -}}
{{- $given := "" -}}
{{- range (include "k8s-spot-handler.env" .root | fromYaml).env -}}
{{- if eq .name $.variable -}}
{{- if and (hasKey . "valueFrom") (ne .name "LISTEN_ADDRESS") -}}
{{- fail (printf "extraEnv: %s decides what else the chart makes: it must have a value here, not valueFrom" .name) -}}
{{- end -}}
{{- $given = default "" .value -}}
{{- end -}}
{{- end -}}
{{- $given -}}
{{- end -}}

{{/* "true" if the program takes this variable for true. */}}
{{- define "k8s-spot-handler.on" -}}
{{- include "k8s-spot-handler.truth" (include "k8s-spot-handler.effective" .) -}}
{{- end -}}

{{- define "k8s-spot-handler.metricsPort" -}}
{{- default "9092" (include "k8s-spot-handler.effective" (dict "root" . "variable" "PROMETHEUS_SERVER_PORT")) -}}
{{- end -}}
{{- define "k8s-spot-handler.probesPort" -}}
{{- default "8080" (include "k8s-spot-handler.effective" (dict "root" . "variable" "PROBES_SERVER_PORT")) -}}
{{- end -}}
{{- define "k8s-spot-handler.probesPath" -}}
{{- default "/healthz" (include "k8s-spot-handler.effective" (dict "root" . "variable" "PROBES_SERVER_ENDPOINT")) -}}
{{- end -}}

{{/* The host that the kubelet asks, where it is not the pod's own address. */}}
{{- define "k8s-spot-handler.probesHost" -}}
{{- $address := include "k8s-spot-handler.effective" (dict "root" . "variable" "LISTEN_ADDRESS") -}}
{{- if not (has $address (list "" "::" "0.0.0.0")) -}}
{{- $address -}}
{{- end -}}
{{- end -}}

{{/* What becomes of the webhook's Secrets and ConfigMaps: path of the file and its source, by variable. */}}
{{- define "k8s-spot-handler.files" -}}
{{- $root := "/etc/k8s-spot-handler" -}}
{{- $files := dict -}}
{{- with .Values.webhookURLSecretName -}}
{{- $_ := set $files "WEBHOOK_URL_FILE" (dict "volume" "webhook-url" "secret" . "folder" (print $root "/webhook-url") "key" $.Values.webhookURLSecretKey) -}}
{{- end -}}
{{- with .Values.webhookHeadersSecretName -}}
{{- $_ := set $files "WEBHOOK_HEADERS_FILE" (dict "volume" "webhook-headers" "secret" . "folder" (print $root "/webhook-headers") "key" $.Values.webhookHeadersSecretKey) -}}
{{- end -}}
{{- if and .Values.webhookTemplateConfigMapName .Values.webhookTemplateConfigMapKey -}}
{{- $_ := set $files "WEBHOOK_TEMPLATE_FILE" (dict "volume" "webhook-template" "configMap" .Values.webhookTemplateConfigMapName "folder" (print $root "/webhook-template") "key" .Values.webhookTemplateConfigMapKey) -}}
{{- end -}}
{{- with .Values.webhookCAConfigMapName -}}
{{- $_ := set $files "WEBHOOK_CA_FILE" (dict "volume" "webhook-ca" "configMap" . "folder" (print $root "/webhook-ca") "key" $.Values.webhookCAConfigMapKey) -}}
{{- end -}}
{{- toYaml $files -}}
{{- end -}}

{{/* The container's environment, as {"env": […]}. */}}
{{- define "k8s-spot-handler.env" -}}
{{- $own := list
  (dict "name" "NODE_NAME" "valueFrom" (dict "fieldRef" (dict "fieldPath" "spec.nodeName")))
  (dict "name" "POD_NAME" "valueFrom" (dict "fieldRef" (dict "fieldPath" "metadata.name")))
  (dict "name" "NAMESPACE" "valueFrom" (dict "fieldRef" (dict "fieldPath" "metadata.namespace"))) -}}
{{- $given := dict -}}
{{- range $path, $variable := include "k8s-spot-handler.settings" . | fromYaml -}}
{{- $value := include "k8s-spot-handler.value" (dict "values" $.Values "path" $path) -}}
{{- if $value -}}
{{- $_ := set $given $variable (dict "name" $variable "value" $value) -}}
{{- end -}}
{{- end -}}
{{/* Older charts of aws-node-termination-handler had port and path of the probes by themselves. */}}
{{- with .Values.probesServerPort -}}
{{- if not (hasKey $given "PROBES_SERVER_PORT") -}}
{{- $_ := set $given "PROBES_SERVER_PORT" (dict "name" "PROBES_SERVER_PORT" "value" (toString .)) -}}
{{- end -}}
{{- end -}}
{{- with .Values.probesServerEndpoint -}}
{{- if not (hasKey $given "PROBES_SERVER_ENDPOINT") -}}
{{- $_ := set $given "PROBES_SERVER_ENDPOINT" (dict "name" "PROBES_SERVER_ENDPOINT" "value" .) -}}
{{- end -}}
{{- end -}}
{{- if hasKey $given "POD_TERMINATION_GRACE_PERIOD" -}}
{{- $_ := unset $given "GRACE_PERIOD" -}}
{{- end -}}
{{- range $variable, $file := include "k8s-spot-handler.files" . | fromYaml -}}
{{- $_ := set $given $variable (dict "name" $variable "value" (printf "%s/%s" $file.folder $file.key)) -}}
{{- end -}}
{{- if .Values.webhookURLSecretName -}}
{{- $_ := unset $given "WEBHOOK_URL" -}}
{{- end -}}
{{- with .Values.webhookRoutingKeySecretName -}}
{{- $_ := set $given "WEBHOOK_ROUTING_KEY" (dict "name" "WEBHOOK_ROUTING_KEY" "valueFrom" (dict "secretKeyRef" (dict "name" . "key" $.Values.webhookRoutingKeySecretKey "optional" true))) -}}
{{- end -}}
{{- range $_, $entry := $given -}}
{{- $own = append $own $entry -}}
{{- end -}}
{{- $extra := dict -}}
{{- range .Values.extraEnv -}}
{{- $_ := set $extra .name true -}}
{{- end -}}
{{- $env := list -}}
{{- range $own -}}
{{- if not (hasKey $extra .name) -}}
{{- $env = append $env . -}}
{{- end -}}
{{- end -}}
{{- toYaml (dict "env" (concat $env .Values.extraEnv)) -}}
{{- end -}}

{{/* Whether it sets taints: the confined flavour then needs a right of its own for that. */}}
{{- define "k8s-spot-handler.taints" -}}
{{- $mark := include "k8s-spot-handler.effective" (dict "root" . "variable" "REBALANCE_MARK") -}}
{{- if or (include "k8s-spot-handler.on" (dict "root" . "variable" "TAINT_NODE")) (eq $mark "soft-taint") -}}true{{- end -}}
{{- end -}}

{{/* Of the two flavours each has rights for one identity alone. */}}
{{- define "k8s-spot-handler.flavour" -}}
{{- $identity := include "k8s-spot-handler.effective" (dict "root" . "variable" "IDENTITY") -}}
{{- $flavour := .Values.rbac.flavour -}}
{{- if eq $flavour "auto" -}}
{{- $knows := semverCompare ">=1.36.0-0" .Capabilities.KubeVersion.Version -}}
{{- $flavour = ternary "confined" "classic" (and $knows (ne $identity "service-account")) -}}
{{- end -}}
{{- if and (eq $flavour "confined") (eq $identity "service-account") -}}
{{- fail "identity is service-account, which has no rights with rbac.flavour confined: leave one of them to auto" -}}
{{- end -}}
{{- if and (eq $flavour "classic") (eq $identity "node") -}}
{{- fail "identity is node, which has no rights with rbac.flavour classic (and auto is that before Kubernetes 1.36): leave it to auto" -}}
{{- end -}}
{{- $flavour -}}
{{- end -}}

{{/* Whether policies are part of it. */}}
{{- define "k8s-spot-handler.policies" -}}
{{- if and .Values.rbac.policies (semverCompare ">=1.30.0-0" .Capabilities.KubeVersion.Version) -}}true{{- end -}}
{{- end -}}

{{/* The values that change nothing here, though they ask for something. */}}
{{- define "k8s-spot-handler.in-vain" -}}
{{- $found := list -}}
{{- range $path, $same := include "k8s-spot-handler.without-effect" . | fromYaml -}}
{{- $value := include "k8s-spot-handler.value" (dict "values" $.Values "path" $path) -}}
{{- if and $value (ne $value $same) -}}
{{- $found = append $found $path -}}
{{- end -}}
{{- end -}}
{{- join ", " $found -}}
{{- end -}}
