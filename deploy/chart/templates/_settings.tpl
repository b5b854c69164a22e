{{/*
The settings of the program: the value, and the environment variable that it becomes.
*/}}
{{- define "k8s-spot-handler.settings" -}}
instanceMetadataURL: INSTANCE_METADATA_URL
noticeURL: NOTICE_URL
pollInterval: POLL_INTERVAL
imdsV1Fallback: IMDS_V1_FALLBACK
enableSpotInterruptionDraining: ENABLE_SPOT_INTERRUPTION_DRAINING
enableScheduledEventDraining: ENABLE_SCHEDULED_EVENT_DRAINING
enableRebalanceMonitoring: ENABLE_REBALANCE_MONITORING
enableRebalanceDraining: ENABLE_REBALANCE_DRAINING
enableASGLifecycleDraining: ENABLE_ASG_LIFECYCLE_DRAINING
cordonOnly: CORDON_ONLY
dryRun: DRY_RUN
nodeTerminationGracePeriod: NODE_TERMINATION_GRACE_PERIOD
maintenanceLeadTimes: MAINTENANCE_LEAD_TIMES
rebalancePatience: REBALANCE_PATIENCE
asgLifecycleWindow: ASG_LIFECYCLE_WINDOW
taintNode: TAINT_NODE
taintEffect: TAINT_EFFECT
excludeFromLoadBalancers: EXCLUDE_FROM_LOAD_BALANCERS
loadBalancerHold: LOAD_BALANCER_HOLD
rebalanceMark: REBALANCE_MARK
rebalanceMarkDuration: REBALANCE_MARK_DURATION
ignoreDaemonSets: IGNORE_DAEMON_SETS
deleteLocalData: DELETE_LOCAL_DATA
drainUnmanaged: DRAIN_UNMANAGED
podTerminationGracePeriod: POD_TERMINATION_GRACE_PERIOD
budgetOverride: BUDGET_OVERRIDE
safetyMargin: SAFETY_MARGIN
nodeShutdownGracePeriod: NODE_SHUTDOWN_GRACE_PERIOD
shutdownGracePeriod: SHUTDOWN_GRACE_PERIOD
kubernetesServiceHost: KUBERNETES_SERVICE_HOST
kubernetesServicePort: KUBERNETES_SERVICE_PORT
tokenFile: TOKEN_FILE
caFile: CA_FILE
identity: IDENTITY
logLevel: LOG_LEVEL
verbose: VERBOSE
jsonLogging: JSON_LOGGING
emitKubernetesEvents: EMIT_KUBERNETES_EVENTS
kubernetesEventsExtraAnnotations: KUBERNETES_EVENTS_EXTRA_ANNOTATIONS
webhookURL: WEBHOOK_URL
webhookURLFile: WEBHOOK_URL_FILE
webhookForm: WEBHOOK_FORM
webhookTemplate: WEBHOOK_TEMPLATE
webhookTemplateFile: WEBHOOK_TEMPLATE_FILE
webhookRoutingKey: WEBHOOK_ROUTING_KEY
webhookHeaders: WEBHOOK_HEADERS
webhookHeadersFile: WEBHOOK_HEADERS_FILE
webhookProxy: WEBHOOK_PROXY
httpsProxy: HTTPS_PROXY
httpProxy: HTTP_PROXY
allProxy: ALL_PROXY
noProxy: NO_PROXY
webhookCAFile: WEBHOOK_CA_FILE
cluster: CLUSTER
slackURL: SLACK_URL
slackChannel: SLACK_CHANNEL
hangoutsURL: HANGOUTS_URL
wechatURL: WECHAT_URL
wechatKey: WECHAT_KEY
sematextURL: SEMATEXT_URL
azURL: AZ_URL
instanceIDURL: INSTANCE_ID_URL
instanceTypeURL: INSTANCE_TYPE_URL
enablePrometheusServer: ENABLE_PROMETHEUS_SERVER
prometheusServerPort: PROMETHEUS_SERVER_PORT
enableProbesServer: ENABLE_PROBES_SERVER
probes.httpGet.port: PROBES_SERVER_PORT
probes.httpGet.path: PROBES_SERVER_ENDPOINT
listenAddress: LISTEN_ADDRESS
gracePeriod: GRACE_PERIOD
{{- end -}}

{{/*
Values of aws-node-termination-handler's chart that change nothing here, and the value with which they would
change nothing there either: with any other NOTES names them.
*/}}
{{- define "k8s-spot-handler.without-effect" -}}
assumeAsgTagPropagation: "false"
awsAccessKeyID: ""
awsEndpoint: ""
awsRegion: ""
awsSecretAccessKey: ""
checkASGTagBeforeDraining: "true"
checkTagBeforeDraining: "true"
completeLifecycleActionDelaySeconds: "-1"
deleteSqsMsgIfNodeNotFound: "false"
enableOutOfServiceTaint: "false"
heartbeatInterval: "-1"
heartbeatUntil: "-1"
logFormatVersion: "1"
managedAsgTag: aws-node-termination-handler/managed
managedTag: aws-node-termination-handler/managed
metadataTries: "3"
nodeSelectorTermsArch: ""
nodeSelectorTermsOs: ""
podDisruptionBudget: ""
procUptimeFile: /proc/uptime
queueURL: ""
replicas: "1"
serviceMonitor.create: "false"
sqsMsgVisibilityTimeoutSec: "20"
strategy: ""
targetNodeOs: linux
topologySpreadConstraints: ""
useProviderId: "false"
windowsAffinity: ""
windowsDnsPolicy: ClusterFirst
windowsNodeSelector: ""
windowsPodAnnotations: ""
windowsPodLabels: ""
windowsTolerations: ""
windowsUpdateStrategy: ""
workers: "10"
{{- end -}}
