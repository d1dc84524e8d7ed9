package orchestration

import (
	"context"
	_ "embed"
	"log/slog"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/keepalive"

	v1 "github.com/orchestration-ledger/orchestration/clients/go/orchestrationv1"
)

// serviceConfig tells gRPC which calls to retry, and to distribute calls over all servers of a name. It is a copy of
// clients/service_config.json.
//
//go:embed service_config.json
var serviceConfig string

const maxMessageBytes = 16 << 20

// Client is a connection to the ledger, for any number of goroutines.
//
// Its fields are the generated stubs. A unary call through them carries the caller's metadata, a deadline unless its
// context has one, and a request_id if a mutation has none: the call that is retried takes effect once. Their errors
// are of the type [Error].
type Client struct {
	// Sprints has the rpcs of SprintService.
	Sprints v1.SprintServiceClient
	// Tasks has the rpcs of TaskService.
	Tasks v1.TaskServiceClient
	// Events has the rpcs of EventService.
	Events v1.EventServiceClient
	// Sessions has the rpcs of SessionService.
	Sessions v1.SessionServiceClient
	// Contexts has the rpcs of ContextService.
	Contexts v1.ContextServiceClient
	// Coordination has the rpcs of CoordinationService.
	Coordination v1.CoordinationServiceClient
	// Templates has the rpcs of TemplateService.
	Templates v1.TemplateServiceClient
	// Schedules has the rpcs of ScheduleService.
	Schedules v1.ScheduleServiceClient
	// Reports has the rpcs of ReportService.
	Reports v1.ReportServiceClient
	// Admin has the rpcs of AdminService.
	Admin v1.AdminServiceClient

	conn     *grpc.ClientConn
	metadata [][2]string
	timeout  time.Duration
	session  string
	log      *slog.Logger
	keeper   *leaseKeeper
	// life ends when the client is closed.
	life context.Context
	end  context.CancelFunc
}

// Open returns a client of the ledger. It connects with the first call. The error wraps [ErrInvalid] if a setting cannot
// be right, or if a token would go to another machine unencrypted.
func Open(settings Settings) (*Client, error) {
	settings = settings.withEnvironment()
	metadata, err := settings.metadata()
	if err != nil {
		return nil, err
	}
	options, target, err := settings.dial()
	if err != nil {
		return nil, err
	}
	client := &Client{metadata: metadata, timeout: settings.Timeout, session: settings.Session, log: settings.Logger}
	client.life, client.end = context.WithCancel(context.Background())
	options = append(options,
		grpc.WithChainUnaryInterceptor(client.interceptUnary),
		grpc.WithChainStreamInterceptor(client.interceptStream))
	client.conn, err = grpc.NewClient(target, append(options, settings.DialOptions...)...)
	if err != nil {
		client.end()
		return nil, invalid("%q: %v", settings.Address, err)
	}
	client.connect(client.conn)
	return client, nil
}

// connect makes the stubs of a connection.
func (c *Client) connect(conn grpc.ClientConnInterface) {
	c.Sprints = v1.NewSprintServiceClient(conn)
	c.Tasks = v1.NewTaskServiceClient(conn)
	c.Events = v1.NewEventServiceClient(conn)
	c.Sessions = v1.NewSessionServiceClient(conn)
	c.Contexts = v1.NewContextServiceClient(conn)
	c.Coordination = v1.NewCoordinationServiceClient(conn)
	c.Templates = v1.NewTemplateServiceClient(conn)
	c.Schedules = v1.NewScheduleServiceClient(conn)
	c.Reports = v1.NewReportServiceClient(conn)
	c.Admin = v1.NewAdminServiceClient(conn)
	c.keeper = newLeaseKeeper(c.life, c.Coordination, c.log)
}

// dial returns the options of the connection, and the name to connect to.
func (s Settings) dial() ([]grpc.DialOption, string, error) {
	at, err := parseAddress(s.Address)
	if err != nil {
		return nil, "", err
	}
	credentials, encrypted, err := s.credentials()
	if err != nil {
		return nil, "", err
	}
	if err := s.checkSecret(at, encrypted); err != nil {
		return nil, "", err
	}
	options := []grpc.DialOption{
		grpc.WithTransportCredentials(credentials),
		grpc.WithDefaultServiceConfig(serviceConfig),
		grpc.WithDisableServiceConfig(),
		grpc.WithDefaultCallOptions(
			grpc.MaxCallRecvMsgSize(maxMessageBytes),
			grpc.MaxCallSendMsgSize(maxMessageBytes),
			// A request that does not fit into this buffer is not retried.
			grpc.MaxRetryRPCBufferSize(maxMessageBytes+1<<10)),
		// A lost peer is detected within 40 seconds, even on a silent stream.
		grpc.WithKeepaliveParams(keepalive.ClientParameters{
			Time: 30 * time.Second, Timeout: 10 * time.Second, PermitWithoutStream: true}),
		// The transport's own backoff grows to two minutes, which is longer than a restart takes.
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 2 * time.Second},
			MinConnectTimeout: 5 * time.Second}),
	}
	if !encrypted || at.onLoopback() {
		// gRPC would send the proxy even calls to this machine, including the token.
		options = append(options, grpc.WithNoProxy())
	}
	target, names := at.target()
	if names != nil {
		options = append(options, grpc.WithResolvers(names))
	}
	return options, target, nil
}

// Conn returns the connection, for other services that the same server has.
func (c *Client) Conn() grpc.ClientConnInterface {
	return c.conn
}

// Close ends the heartbeats, the timelines and the calls in flight, and closes the connection. The leases of work that
// has not ended count as lost, and expire by themselves.
func (c *Client) Close() error {
	if c.life.Err() != nil {
		return nil
	}
	c.end()
	c.keeper.loseAll(ErrClosed.Error())
	return c.conn.Close()
}
