// Makes each step on memory that the code takes a call of the explorer, in a copy of this program's own code:
//
//   ldfld F           ldflda F, site, Load            a place in the runtime's sources stays what it is there
//   stfld F           the same with a local, Store
//   ldsfld, stsfld    Static(offset), ...             statics lie in the model's memory
//   ldind, stind      site, Load or Store
//   Volatile.Read, Interlocked.Exchange, ...          the explorer's of the same name
//   X86Base.IsSupported                               false
//
// What is rewritten: all types but those of the explorer itself. Fields of other sizes than a register's are
// left: nothing of the runtime's shares such.
//
// Rejected: names of our own for Volatile and Interlocked (plain loads and stores are half of what matters),
// a define in the runtime's sources.

using Mono.Cecil;
using Mono.Cecil.Cil;
using Mono.Cecil.Rocks;

namespace Weft.Models;

internal sealed class Rewriter
{
    private const string Own = "Weft.Models";
    private const int LargeStatic = 1024;

    private readonly ModuleDefinition _module;
    private readonly TypeDefinition _explorer;
    private readonly MethodDefinition _static;
    private readonly Dictionary<string, (int Offset, FieldReference Field)> _statics = [];
    private readonly List<string> _initialized = [];
    private readonly List<(string What, string Where)> _sites = [];
    private int _nextStatic = 64;

    private Rewriter(ModuleDefinition module)
    {
        _module = module;
        _explorer = module.GetType(Own, "Explorer");
        _static = _explorer.Methods.Single(method => method.Name == nameof(Explorer.Static));
    }

    /// <summary>The assembly at the path, rewritten; what each site is; and the types that have
    /// initializers.</summary>
    internal static (byte[] Code, (string, string)[] Sites, string[] Initialized) Rewrite(string path)
    {
        using ModuleDefinition module = ModuleDefinition.ReadModule(
            path, new ReaderParameters { ReadSymbols = true });
        Rewriter rewriter = new(module);
        foreach (TypeDefinition type in module.GetTypes().ToArray())
        {
            TypeDefinition outer = type;
            while (outer.DeclaringType != null)
            {
                outer = outer.DeclaringType;
            }
            if (outer.Namespace is Own or "" && !outer.Name.Contains("PrivateImplementationDetails"))
            {
                continue;
            }
            foreach (MethodDefinition method in type.Methods.Where(method => method.HasBody))
            {
                rewriter.Rewrite(method);
                if (method.IsConstructor && method.IsStatic)
                {
                    rewriter._initialized.Add(type.FullName.Replace('/', '+'));
                }
            }
        }
        using MemoryStream code = new();
        module.Write(code);
        return (code.ToArray(), [.. rewriter._sites], [.. rewriter._initialized]);
    }

    private void Rewrite(MethodDefinition method)
    {
        MethodBody body = method.Body;
        body.SimplifyMacros();
        ILProcessor il = body.GetILProcessor();
        foreach (Instruction instruction in body.Instructions.ToArray())
        {
            switch (instruction.OpCode.Code)
            {
                case Code.Ldfld:
                    Load(method, il, instruction, OpCodes.Ldflda);
                    break;
                case Code.Stfld:
                    Store(method, il, instruction);
                    break;
                case Code.Ldsfld:
                    LoadStatic(method, il, instruction);
                    break;
                case Code.Stsfld:
                    Store(method, il, instruction);
                    break;
                case Code.Ldsflda when IsPlaced((FieldReference)instruction.Operand):
                    Replace(il, instruction, AddressOf((FieldReference)instruction.Operand));
                    break;
                case Code.Call when instruction.Operand is MethodReference called:
                    Call(method, il, instruction, called);
                    break;
                default:
                    Indirect(method, il, instruction);
                    break;
            }
        }
        body.OptimizeMacros();
    }

    private void Load(MethodDefinition method, ILProcessor il, Instruction at, OpCode address)
    {
        FieldReference field = (FieldReference)at.Operand;
        if (IsWord(field.FieldType) && !IsLocalValue(at.Previous))
        {
            at.OpCode = address;
            InsertAfter(il, at, [Number(method, at, "load", field), Explore("Load", field.FieldType)]);
        }
    }

    private void Store(MethodDefinition method, ILProcessor il, Instruction at)
    {
        FieldReference field = (FieldReference)at.Operand;
        bool isStatic = at.OpCode == OpCodes.Stsfld;
        if (isStatic ? !IsPlaced(field) : !IsWord(field.FieldType))
        {
            return;
        }
        VariableDefinition value = new(field.FieldType);
        method.Body.Variables.Add(value);
        method.Body.InitLocals = true;
        Instruction[] address = isStatic ? AddressOf(field) : [Instruction.Create(OpCodes.Ldflda, field)];
        Instruction[] store = IsWord(field.FieldType)
            ? [Number(method, at, "store", field), Explore("Store", field.FieldType)]
            : [Instruction.Create(OpCodes.Stobj, field.FieldType)];
        InsertAfter(il, at, [.. address, Instruction.Create(OpCodes.Ldloc, value), .. store]);
        at.OpCode = OpCodes.Stloc;
        at.Operand = value;
    }

    private void LoadStatic(MethodDefinition method, ILProcessor il, Instruction at)
    {
        FieldReference field = (FieldReference)at.Operand;
        if (!IsPlaced(field))
        {
            return;
        }
        if (!IsWord(field.FieldType))
        {
            Replace(il, at, [.. AddressOf(field), Instruction.Create(OpCodes.Ldobj, field.FieldType)]);
            return;
        }
        Instruction number = Number(method, at, "load", field);
        Replace(il, at, [.. AddressOf(field), number, Explore("Load", field.FieldType)]);
    }

    private void Indirect(MethodDefinition method, ILProcessor il, Instruction at)
    {
        TypeSystem types = _module.TypeSystem;
        (TypeReference? type, bool stores) = at.OpCode.Code switch
        {
            Code.Ldind_I => (types.IntPtr, false),
            Code.Ldind_I1 => (types.SByte, false),
            Code.Ldind_U1 => (types.Byte, false),
            Code.Ldind_I2 => (types.Int16, false),
            Code.Ldind_U2 => (types.UInt16, false),
            Code.Ldind_I4 => (types.Int32, false),
            Code.Ldind_U4 => (types.UInt32, false),
            Code.Ldind_I8 => (types.Int64, false),
            Code.Ldind_Ref => (types.Object, false),
            Code.Stind_I => (types.IntPtr, true),
            Code.Stind_I1 => (types.Byte, true),
            Code.Stind_I2 => (types.Int16, true),
            Code.Stind_I4 => (types.Int32, true),
            Code.Stind_I8 => (types.Int64, true),
            Code.Stind_Ref => (types.Object, true),
            Code.Ldobj when IsWord((TypeReference)at.Operand) => ((TypeReference)at.Operand, false),
            Code.Stobj when IsWord((TypeReference)at.Operand) => ((TypeReference)at.Operand, true),
            _ => ((TypeReference?)null, false),
        };
        if (type == null)
        {
            return;
        }
        Instruction number = Number(method, at, stores ? "store" : "load", FieldBelow(at, stores ? 2 : 1));
        Replace(il, at, [number, Explore(stores ? "Store" : "Load", type)]);
    }

    private void Call(MethodDefinition method, ILProcessor il, Instruction at, MethodReference called)
    {
        string type = called.DeclaringType.FullName;
        if (called.Name == "get_IsSupported" && called.DeclaringType.Namespace == "System.Runtime.Intrinsics.X86")
        {
            Replace(il, at, [Instruction.Create(OpCodes.Ldc_I4_0)]); // The model's processor is none.
            return;
        }
        if (type is not ("System.Threading.Volatile" or "System.Threading.Interlocked")
            && (called.DeclaringType != _explorer || called.Name != "Look"))
        {
            return;
        }
        string name = called.Name switch
        {
            "Read" => "VolatileRead",
            "Write" => "VolatileWrite",
            "Look" => "LookAt",
            _ => called.Name,
        };
        MethodDefinition target = _explorer.Methods.Single(candidate => candidate.Name == name);
        Instruction number = Number(method, at, name, FieldBelow(at, called.Parameters.Count));
        Instruction call = target.HasGenericParameters
            ? Explore(name, ElementOf(called)) : Instruction.Create(OpCodes.Call, target);
        Replace(il, at, [number, call]);
    }

    private static TypeReference ElementOf(MethodReference called)
    {
        if (called is GenericInstanceMethod generic)
        {
            return generic.GenericArguments[0];
        }
        TypeReference type = called.Parameters[0].ParameterType;
        while (type is IModifierType modified)
        {
            type = modified.ElementType;
        }
        return ((ByReferenceType)type).ElementType;
    }

    // --- where ---

    private Instruction Number(MethodDefinition method, Instruction at, string kind, FieldReference? field)
    {
        SequencePoint? point = null;
        for (Instruction? i = at; i != null && point is not { IsHidden: false }; i = i.Previous)
        {
            // What was inserted has no offset, and would be taken for the method's first line.
            point = i.Offset == 0 && i.Previous != null ? null : method.DebugInformation.GetSequencePoint(i);
        }
        string where = point == null ? "" : $"{Path.GetFileName(point.Document.Url)}:{point.StartLine}";
        string what = $"{NameOf(method)} {kind} {(field == null ? "?" : $"{field.DeclaringType.Name}.{field.Name}")}";
        _sites.Add((what, where));
        return Instruction.Create(OpCodes.Ldc_I4, _sites.Count - 1);
    }

    private static string NameOf(MethodDefinition method) =>
        $"{method.DeclaringType.Name}.{(method.IsGetter || method.IsSetter ? method.Name[4..] : method.Name)}";

    /// <summary>The field whose address is the lowest of so many values on the stack; null if that is none, or
    /// came by a branch.</summary>
    private FieldReference? FieldBelow(Instruction at, int values)
    {
        for (Instruction? i = at.Previous; i != null && i.OpCode.FlowControl is FlowControl.Next or FlowControl.Call;
            i = i.Previous)
        {
            values -= Pushes(i);
            if (values <= 0 && i.OpCode != OpCodes.Dup)
            {
                return i.OpCode == OpCodes.Ldflda ? (FieldReference)i.Operand
                    : i.Operand == _static ? StaticAt((int)i.Previous.Operand) : null;
            }
            values = values <= 0 ? 1 : values + Pops(i);
        }
        return null;
    }

    private FieldReference StaticAt(int offset) => _statics.Values.First(place => place.Offset == offset).Field;

    private static int Pushes(Instruction at) => at.OpCode.StackBehaviourPush switch
    {
        StackBehaviour.Push0 => 0,
        StackBehaviour.Push1_push1 => 2,
        StackBehaviour.Varpush => ((IMethodSignature)at.Operand).ReturnType.MetadataType == MetadataType.Void ? 0 : 1,
        _ => 1,
    };

    private static int Pops(Instruction at) => at.OpCode.StackBehaviourPop switch
    {
        StackBehaviour.Pop0 => 0,
        StackBehaviour.Pop1 or StackBehaviour.Popi or StackBehaviour.Popref => 1,
        StackBehaviour.Pop1_pop1 or StackBehaviour.Popi_pop1 or StackBehaviour.Popi_popi or StackBehaviour.Popi_popi8
            or StackBehaviour.Popi_popr4 or StackBehaviour.Popi_popr8 or StackBehaviour.Popref_pop1
            or StackBehaviour.Popref_popi => 2,
        StackBehaviour.Varpop when at.Operand is IMethodSignature called => called.Parameters.Count
            + (called.HasThis && at.OpCode != OpCodes.Newobj ? 1 : 0) + (at.OpCode == OpCodes.Calli ? 1 : 0),
        StackBehaviour.Varpop => 0,
        _ => 3,
    };

    // --- what ---

    private static bool IsWord(TypeReference type)
    {
        if (type.IsPointer || type.IsFunctionPointer || type.IsPrimitive)
        {
            return true;
        }
        return type is { IsValueType: true, IsGenericInstance: false, IsGenericParameter: false }
            && type.Resolve() is { IsEnum: true } definition && definition.Module == type.Module;
    }

    private bool IsPlaced(FieldReference field)
    {
        TypeDefinition? type = field.DeclaringType.Resolve();
        if (type?.Module != _module || type.Name.StartsWith('<') || type.HasGenericParameters)
        {
            return false;
        }
        return IsWord(field.FieldType) || (field.FieldType.IsValueType
            && field.FieldType.Resolve() is { } value && value.Module == _module && !HasReferences(value));
    }

    private static bool HasReferences(TypeDefinition type) => type.Fields.Any(field => !field.IsStatic
        && !field.FieldType.IsValueType && !field.FieldType.IsPointer && !field.FieldType.IsFunctionPointer);

    private static bool IsLocalValue(Instruction? before) =>
        before != null && before.OpCode == OpCodes.Call
        && before.Operand is MethodReference { ReturnType: { IsValueType: true, IsPrimitive: false } };

    private Instruction[] AddressOf(FieldReference field)
    {
        string name = field.FullName;
        if (!_statics.TryGetValue(name, out (int Offset, FieldReference) place))
        {
            place = (_nextStatic, field);
            _statics.Add(name, place);
            _nextStatic += IsWord(field.FieldType) ? 8 : LargeStatic;
        }
        return [Instruction.Create(OpCodes.Ldc_I4, place.Offset), Instruction.Create(OpCodes.Call, _static)];
    }

    private Instruction Explore(string name, TypeReference type)
    {
        GenericInstanceMethod method = new(_explorer.Methods.Single(candidate => candidate.Name == name));
        method.GenericArguments.Add(type.IsPointer || type.IsFunctionPointer ? _module.TypeSystem.IntPtr : type);
        return Instruction.Create(OpCodes.Call, method);
    }

    private static void Replace(ILProcessor il, Instruction at, Instruction[] by)
    {
        at.OpCode = by[0].OpCode;
        at.Operand = by[0].Operand;
        InsertAfter(il, at, by[1..]);
    }

    private static void InsertAfter(ILProcessor il, Instruction at, Instruction[] more)
    {
        foreach (Instruction instruction in more)
        {
            il.InsertAfter(at, instruction);
            at = instruction;
        }
    }
}
