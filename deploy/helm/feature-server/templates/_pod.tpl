{{- /* The pod's template: that of the StatefulSet, and with store.url that of the Deployment. */}}
{{- define "feature-server.pod" -}}
metadata:
  labels: {{- include "feature-server.labels" . | nindent 4 }}
  annotations:
    # The server reads its configuration at the start only, so a change of it has to make a new pod.
    checksum/config: {{ .Values.config | sha256sum }}
    {{- with .Values.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  serviceAccountName: {{ include "feature-server.name" . }}
  automountServiceAccountToken: false
  # The server reads no variable with the address of another service.
  enableServiceLinks: false
  terminationGracePeriodSeconds: {{ .Values.terminationGracePeriodSeconds }}
  {{- with .Values.imagePullSecrets }}
  imagePullSecrets: {{- toYaml . | nindent 4 }}
  {{- end }}
  securityContext:
    runAsNonRoot: true
    runAsUser: {{ .Values.user }}
    runAsGroup: {{ .Values.user }}
    fsGroup: {{ .Values.user }}
    # Each start would else open all files, the signing keys included, to the group.
    fsGroupChangePolicy: OnRootMismatch
    seccompProfile:
      type: RuntimeDefault
  containers:
    - name: feature-server
      image: {{ include "feature-server.image" . | quote }}
      imagePullPolicy: {{ .Values.image.pullPolicy }}
      args: ["serve"]
      env:
        {{- if .Values.store.url }}
        - name: FEATURE_SERVER__SERVER__DATA
          value: /var/lib/feature-server
        - name: FEATURE_SERVER__STORE__URL
          value: {{ .Values.store.url | quote }}
        {{- if .Values.store.passwordSecretName }}
        - name: FEATURE_SERVER__STORE__PASSWORD_FILE
          value: /etc/feature-server/store-password/password
        {{- end }}
        {{- if .Values.store.caSecretName }}
        - name: FEATURE_SERVER__STORE__CA_FILE
          value: /etc/feature-server/store-ca/ca.crt
        {{- end }}
        {{- else }}
        # The volume itself belongs to root. Its subfolder belongs to the server, which keeps all others out.
        - name: FEATURE_SERVER__SERVER__DATA
          value: /var/lib/feature-server/data
        {{- end }}
        - name: FEATURE_SERVER__SERVER__LISTEN
          value: 0.0.0.0:8080
        - name: FEATURE_SERVER__METRICS__LISTEN
          value: {{ ternary (printf "0.0.0.0:%v" .Values.metrics.port) "off" .Values.metrics.enabled | quote }}
        {{- if .Values.tls.secretName }}
        - name: FEATURE_SERVER__TLS__CERTIFICATE_FILE
          value: /etc/feature-server/tls/tls.crt
        - name: FEATURE_SERVER__TLS__KEY_FILE
          value: /etc/feature-server/tls/tls.key
        {{- else }}
        - name: FEATURE_SERVER__SERVER__ALLOW_CLEARTEXT
          value: "true"
        {{- end }}
        {{- if .Values.tls.clientCaSecretName }}
        - name: FEATURE_SERVER__TLS__CLIENT_CA_FILE
          value: /etc/feature-server/client-ca/ca.crt
        {{- end }}
        {{- if .Values.traces.endpoint }}
        - name: OTEL_EXPORTER_OTLP_ENDPOINT
          value: {{ .Values.traces.endpoint | quote }}
        - name: OTEL_SERVICE_NAME
          value: {{ include "feature-server.name" . }}
        - name: OTEL_TRACES_SAMPLER
          value: parentbased_traceidratio
        - name: OTEL_TRACES_SAMPLER_ARG
          value: {{ .Values.traces.ratio | quote }}
        {{- end }}
        {{- with .Values.env }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      ports:
        - name: grpc
          containerPort: 8080
        {{- if .Values.metrics.enabled }}
        - name: metrics
          containerPort: {{ .Values.metrics.port }}
        {{- end }}
      startupProbe:
        httpGet:
          path: /readyz
          {{- include "feature-server.probed" . | nindent 10 }}
        periodSeconds: 1
        timeoutSeconds: 2
        failureThreshold: {{ .Values.startupSeconds }}
      readinessProbe:
        httpGet:
          path: /readyz
          {{- include "feature-server.probed" . | nindent 10 }}
        periodSeconds: 5
        timeoutSeconds: 2
        failureThreshold: 2
      # A server that refuses writes is alive: a restart is a person's decision.
      livenessProbe:
        httpGet:
          path: /healthz
          {{- include "feature-server.probed" . | nindent 10 }}
        periodSeconds: 10
        timeoutSeconds: 5
        failureThreshold: 6
      resources: {{- toYaml .Values.resources | nindent 8 }}
      securityContext:
        allowPrivilegeEscalation: false
        readOnlyRootFilesystem: true
        capabilities:
          drop: ["ALL"]
      volumeMounts:
        - name: data
          mountPath: /var/lib/feature-server
        {{- if .Values.store.keysSecretName }}
        - name: keys
          mountPath: /var/lib/feature-server/keys
          readOnly: true
        {{- end }}
        {{- if .Values.store.passwordSecretName }}
        - name: store-password
          mountPath: /etc/feature-server/store-password
          readOnly: true
        {{- end }}
        {{- if .Values.store.caSecretName }}
        - name: store-ca
          mountPath: /etc/feature-server/store-ca
          readOnly: true
        {{- end }}
        # The command 'verify' copies a projection there.
        - name: temporary
          mountPath: /tmp
        # The folder that the server starts in. Files below it are mounted on their own.
        - name: configuration
          mountPath: /etc/feature-server/feature-server.toml
          subPath: feature-server.toml
          readOnly: true
        {{- if .Values.tls.secretName }}
        - name: tls
          mountPath: /etc/feature-server/tls
          readOnly: true
        {{- end }}
        {{- if .Values.tls.clientCaSecretName }}
        - name: client-ca
          mountPath: /etc/feature-server/client-ca
          readOnly: true
        {{- end }}
        {{- range $index, $secret := .Values.extraSecrets }}
        - name: secret-{{ $index }}
          mountPath: {{ $secret.mountPath }}
          readOnly: true
        {{- end }}
  volumes:
    {{- if .Values.store.url }}
    # Each pod reads the records from the database anew.
    - name: data
      emptyDir: {}
    {{- end }}
    {{- if .Values.store.keysSecretName }}
    - name: keys
      secret:
        secretName: {{ .Values.store.keysSecretName }}
        defaultMode: 0440
    {{- end }}
    {{- if .Values.store.passwordSecretName }}
    - name: store-password
      secret:
        secretName: {{ .Values.store.passwordSecretName }}
        defaultMode: 0440
        items:
          - key: {{ .Values.store.passwordSecretKey }}
            path: password
    {{- end }}
    {{- if .Values.store.caSecretName }}
    - name: store-ca
      secret:
        secretName: {{ .Values.store.caSecretName }}
        defaultMode: 0440
    {{- end }}
    - name: temporary
      emptyDir: {}
    - name: configuration
      configMap:
        name: {{ include "feature-server.name" . }}
    {{- if .Values.tls.secretName }}
    - name: tls
      secret:
        secretName: {{ .Values.tls.secretName }}
        # For the group of the process alone.
        defaultMode: 0440
    {{- end }}
    {{- if .Values.tls.clientCaSecretName }}
    - name: client-ca
      secret:
        secretName: {{ .Values.tls.clientCaSecretName }}
        defaultMode: 0440
    {{- end }}
    {{- range $index, $secret := .Values.extraSecrets }}
    - name: secret-{{ $index }}
      secret:
        secretName: {{ $secret.secretName }}
        defaultMode: 0440
    {{- end }}
  {{- if .Values.store.url }}
  # The servers of one version stand on several nodes and in several zones, where there are any.
  topologySpreadConstraints:
    {{- range list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
    - topologyKey: {{ . }}
      maxSkew: 1
      whenUnsatisfiable: ScheduleAnyway
      labelSelector:
        matchLabels: {{- include "feature-server.selector" $ | nindent 10 }}
      matchLabelKeys: ["pod-template-hash"]
    {{- end }}
  {{- end }}
  {{- with .Values.nodeSelector }}
  nodeSelector: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.tolerations }}
  tolerations: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.affinity }}
  affinity: {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}
