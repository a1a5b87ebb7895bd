// A portal: portal CUSTOMER TENANT CLASS. The environment names daemon, issuer and secrets; see README.md.
package main

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/url"
	"os"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"

	landlordv1 "portal/gen/landlord/v1"
)

const deadline = 20 * time.Second

// retryAfter says how long to wait before the same call again, with a request_id also one that changes something: as the daemon
// says, else usual. RESOURCE_EXHAUSTED without RetryInfo is a quota or a message that is too large: nothing that goes by itself.
func retryAfter(err error, usual time.Duration) (time.Duration, bool) {
	for _, detail := range status.Convert(err).Details() {
		if retry, is := detail.(*errdetails.RetryInfo); is {
			delay := retry.GetRetryDelay().AsDuration()
			return delay, delay <= deadline
		}
	}
	switch status.Code(err) {
	case codes.Unavailable, codes.Aborted:
		return usual, true
	}
	return usual, false
}

func must[T any](value T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return value
}

func file(variable string) string {
	return strings.TrimSpace(string(must(os.ReadFile(os.Getenv(variable)))))
}

// tokens shows a token with every call, and gets another one before it ends; of several calls one fetches.
type tokens struct {
	sync.Mutex
	token   string
	renewAt time.Time
	fetched int
}

func (t *tokens) RequireTransportSecurity() bool { return true }

func (t *tokens) GetRequestMetadata(ctx context.Context, _ ...string) (map[string]string, error) {
	t.Lock()
	defer t.Unlock()
	if !time.Now().Before(t.renewAt) {
		form := url.Values{"grant_type": {"client_credentials"}, "client_id": {os.Getenv("CLIENT_ID")},
			"client_secret": {file("CLIENT_SECRET_FILE")}}
		client := http.Client{Timeout: 10 * time.Second}
		response, err := client.PostForm(os.Getenv("TOKEN_URL"), form)
		if err != nil {
			return nil, status.Error(codes.Unavailable, err.Error())
		}
		defer response.Body.Close()
		var answer struct {
			AccessToken string `json:"access_token"`
			ExpiresIn   int    `json:"expires_in"`
		}
		if err := json.NewDecoder(io.LimitReader(response.Body, 1<<20)).Decode(&answer); err != nil || answer.AccessToken == "" {
			return nil, status.Errorf(codes.Unavailable, "the issuer answered %s", response.Status)
		}
		t.token, t.fetched = answer.AccessToken, t.fetched+1
		t.renewAt = time.Now().Add(time.Duration(answer.ExpiresIn) * time.Second / 2)
	}
	return map[string]string{"authorization": "Bearer " + t.token}, nil
}

// connect makes one connection for everything: it reconnects by itself, and notices a daemon that vanished. The library would look up
// a TXT record `_grpc_config.HOST`, too, for settings of the connection (https://github.com/grpc/proposal/blob/master/A2-service-configs-in-dns.md);
// landlord has none.
func connect(t *tokens) *grpc.ClientConn {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(file("LANDLORD_CA_FILE")))
	return must(grpc.NewClient(os.Getenv("LANDLORD_SERVER"),
		grpc.WithTransportCredentials(credentials.NewClientTLSFromCert(roots, "")),
		grpc.WithPerRPCCredentials(t),
		grpc.WithDisableServiceConfig(),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: time.Minute, Timeout: 20 * time.Second})))
}

// details is what an error says to machines: its reason, and fields that are wrong.
func details(err error) (reason string, fields []string) {
	for _, detail := range status.Convert(err).Details() {
		switch detail := detail.(type) {
		case *errdetails.ErrorInfo:
			reason = detail.Reason
		case *errdetails.BadRequest:
			for _, violation := range detail.FieldViolations {
				fields = append(fields, violation.Field)
			}
		}
	}
	sort.Strings(fields)
	return reason, fields
}

// again calls until it succeeds or can't; it waits longer each time.
func again[Q, R any](call func(context.Context, Q, ...grpc.CallOption) (R, error), request Q) (R, error) {
	for wait := 500 * time.Millisecond; ; wait *= 2 {
		ctx, cancel := context.WithTimeout(context.Background(), deadline)
		response, err := call(ctx, request)
		cancel()
		if err == nil {
			return response, nil
		}
		delay, again := retryAfter(err, wait)
		if !again || wait > 4*time.Second {
			return response, err
		}
		time.Sleep(delay)
	}
}

type event struct {
	Type    string `json:"type"`
	Subject string `json:"subject"`
}

// serveWebhooks takes events that are signed, each once.
func serveWebhooks(secret string, take chan<- event) {
	webhook := must(standardwebhooks.NewWebhook(secret))
	var seen sync.Map
	handler := func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
		if err != nil || webhook.Verify(body, r.Header) != nil {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		// A portal would keep these ids as long as landlord repeats: it may send an event twice.
		if _, twice := seen.LoadOrStore(r.Header.Get("webhook-id"), true); !twice {
			var e event
			if json.Unmarshal(body, &e) == nil {
				take <- e
			}
		}
		w.WriteHeader(http.StatusNoContent)
	}
	server := http.Server{Addr: "127.0.0.1:" + os.Getenv("WEBHOOK_PORT"), Handler: http.HandlerFunc(handler), ReadTimeout: deadline}
	go func() { log.Fatal(server.ListenAndServe()) }()
}

// watch sends what happens to a customer's tenants, without a gap: a broken stream goes on where it was. Each value of `lost`
// breaks the stream, as a lost connection would. `begun` is closed when what happens from then on is seen.
func watch(tenants landlordv1.TenantServiceClient, parent string, events chan<- *landlordv1.TenantEvent, begun chan struct{}, lost <-chan struct{}) {
	var token string
	var once sync.Once
	for {
		// No deadline: it is meant to last.
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan struct{})
		go func() {
			select {
			case <-lost:
				cancel()
			case <-done:
			}
		}()
		stream, err := tenants.WatchTenants(ctx, &landlordv1.WatchTenantsRequest{Parent: parent, ResumeToken: token})
		for err == nil {
			var message *landlordv1.WatchTenantsResponse
			if message, err = stream.Recv(); err != nil {
				break
			}
			token = message.ResumeToken
			once.Do(func() { close(begun) })
			if message.Event != nil {
				events <- message.Event
			}
		}
		close(done)
		cancel()
		code := status.Code(err)
		// OutOfRange: older than what is kept; list again, and watch without a token.
		delay, again := retryAfter(err, 200*time.Millisecond)
		if !again && !errors.Is(err, io.EOF) && code != codes.Canceled && code != codes.Unauthenticated {
			log.Fatal(err)
		}
		time.Sleep(delay)
	}
}

func main() {
	customer, tenantID, class := os.Args[1], os.Args[2], os.Args[3]
	parent := "customers/" + customer
	name := parent + "/tenants/" + tenantID
	told := make(chan event, 10_000)
	serveWebhooks(file("WEBHOOK_SECRET_FILE"), told)
	t := &tokens{}
	tenants := landlordv1.NewTenantServiceClient(connect(t))

	// Watch first, then list: what happens in between is in the watch.
	events, begun, lost := make(chan *landlordv1.TenantEvent, 100), make(chan struct{}), make(chan struct{}, 1)
	go watch(tenants, parent, events, begun, lost)
	<-begun
	listed := must(again(tenants.ListTenants, &landlordv1.ListTenantsRequest{Parent: parent}))
	fmt.Println("listed", len(listed.Tenants))

	wrong := &landlordv1.Tenant{TenantClass: class, Domain: "not a domain", StorageGib: -1}
	_, err := again(tenants.CreateTenant, &landlordv1.CreateTenantRequest{Parent: parent, TenantId: "Wrong", Tenant: wrong})
	reason, fields := details(err)
	fmt.Println("refused", reason, strings.Join(fields, " "))

	// The same request_id is the same order, however often it is sent: no answer does not mean no order.
	order := &landlordv1.CreateTenantRequest{Parent: parent, TenantId: tenantID, RequestId: uuid.NewString(),
		Tenant: &landlordv1.Tenant{TenantClass: class, Domain: tenantID + "." + customer + ".example.com", StorageGib: 10}}
	operation := must(again(tenants.CreateTenant, order)).Name
	fmt.Println("ordered once", must(again(tenants.CreateTenant, order)).Name == operation)

	broken := false
	for e := range events {
		if e.Tenant != name {
			continue
		}
		if !broken {
			broken = true
			lost <- struct{}{}
		}
		if e.Reason == "Ready" || e.Reason == "Failed" {
			fmt.Println(e.Reason, "by watch, resumed")
			break
		}
	}
	for e := range told {
		if e.Subject == name && (strings.HasSuffix(e.Type, ".ready") || strings.HasSuffix(e.Type, ".failed")) {
			fmt.Println(e.Type, "by webhook")
			break
		}
	}
	t.Lock()
	t.renewAt = time.Time{} // as when it ends
	t.Unlock()
	tenant := must(again(tenants.GetTenant, &landlordv1.GetTenantRequest{Name: name}))
	fmt.Println(tenant.State, "with token", t.fetched)
}
